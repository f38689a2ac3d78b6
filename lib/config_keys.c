/* L5 facade: the keys of a config: given, from a file, from a passphrase */
/* SPDX-License-Identifier: MIT */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "buf.h"
#include "key_file.h"
#include "passphrase.h"

/*
 * A key file is looked at through the descriptor it is read from, so nobody can put another one in its
 * place between the two. Others must not be able to read it, and only its owner to write it; who
 * owns it is this user, or root, who can read everything anyway. A group may read: that is how
 * Kubernetes hands out secrets (root:fsGroup, 0440), and how an access list shows that lets a service
 * read what systemd gave it (LoadCredential=). Symbolic links are followed, since Kubernetes has them.
 *
 * Its bytes are read with read(2) into locked memory, which is wiped, and go from there into the
 * ring: stdio would leave them in a buffer of its own.
 *
 * The path is in no message. A program that passes the key in the place of the path would log it.
 */

static cloak_status refuse_argument(cloak_error *err, const char *what)
{
	return cloak__fail(err, CLOAK_E_INVALID, "%s", what);
}

static int use_is_known(uint32_t use)
{
	return use != 0 && (use & ~(CLOAK_KEY_READ | CLOAK_KEY_WRITE)) == 0;
}

static const char no_use[] = "use is not CLOAK_KEY_READ, CLOAK_KEY_WRITE or both";

cloak_status cloak_config_add_key(cloak_config *config, const void *key, size_t len, uint32_t use,
				  cloak_error *err)
{
	if (config == NULL || key == NULL)
		return refuse_argument(err, "config or key is NULL");
	if (!use_is_known(use))
		return refuse_argument(err, no_use);
	return cloak__keyring_add(config->ring, key, len, (use & CLOAK_KEY_WRITE) != 0, err);
}

cloak_status cloak_config_set_user_key(cloak_config *config, const void *key, size_t len,
				       cloak_error *err)
{
	if (config == NULL || key == NULL)
		return refuse_argument(err, "config or key is NULL");
	return cloak__keyring_set_user_key(config->ring, key, len, err);
}

cloak_status cloak_config_add_passphrase(cloak_config *config, const void *passphrase, size_t len,
					 const char *salt, uint32_t use, cloak_error *err)
{
	uint8_t key[CLOAK__KEY_BYTES];
	cloak_status status;

	if (config == NULL || passphrase == NULL || salt == NULL)
		return refuse_argument(err, "config, passphrase or salt is NULL");
	if (!use_is_known(use))
		return refuse_argument(err, no_use);
	status = cloak__passphrase_key(passphrase, len, salt, key, err);
	if (status == CLOAK_OK)
		status = cloak__keyring_add(config->ring, key, sizeof key,
					    (use & CLOAK_KEY_WRITE) != 0, err);
	cloak__wipe(key, sizeof key);
	return status;
}

/* ---- key file ---- */

static cloak_status refuse_file(cloak_error *err, const char *why)
{
	return cloak__fail(err, CLOAK_E_CONFIG, "key file: %s", why);
}

/* Not strerror(): its words are in the language of the process. */
static cloak_status refuse_errno(cloak_error *err, int number)
{
	switch (number) {
	case ENOENT:
	case ENOTDIR:
		return refuse_file(err, "there is none at that path");
	case EACCES:
	case EPERM:
		return refuse_file(err, "this process may not read it");
	case EMFILE:
	case ENFILE:
		return refuse_file(err, "no file descriptor left");
	case ENXIO: /* a socket */
		return refuse_file(err, "it is no regular file");
	default:
		return cloak__fail(err, CLOAK_E_CONFIG, "key file: system error %d", number);
	}
}

static cloak_status check_file(int fd, cloak_error *err)
{
	struct stat st;

	if (fstat(fd, &st) != 0)
		return refuse_errno(err, errno);
	if (!S_ISREG(st.st_mode))
		return refuse_file(err, "it is no regular file");
	if (st.st_uid != geteuid() && st.st_uid != 0)
		return refuse_file(err, "it belongs neither to this process's user nor to root");
	if (st.st_mode & S_IRWXO)
		return refuse_file(err, "others have access to it: chmod o= on it");
	if (st.st_mode & S_IWGRP)
		return refuse_file(err, "its group may write to it: chmod g-w on it");
	return CLOAK_OK;
}

/* Read all of it. CLOAK_E_CONFIG: there is more than text has room for, or it cannot be read. */
static cloak_status read_file(int fd, char *text, size_t cap, size_t *len, cloak_error *err)
{
	*len = 0;
	while (*len < cap) {
		ssize_t n = read(fd, text + *len, cap - *len);

		if (n == 0)
			return CLOAK_OK;
		if (n > 0)
			*len += (size_t)n;
		else if (errno != EINTR)
			return refuse_errno(err, errno);
	}
	return cloak__fail(err, CLOAK_E_CONFIG, "key file: it is over %d bytes",
			   CLOAK__KEY_FILE_MAX);
}

/* Add the keys of a text to a ring, or leave it as it is. */
static cloak_status add_all(struct cloak__keyring **ring, const char *text, size_t len,
			    cloak_error *err)
{
	struct cloak__keyring *more = cloak__keyring_copy(*ring), *old = *ring;
	cloak_status status;

	if (more == NULL)
		return cloak__fail_nomem(err);
	status = cloak__key_file_read(more, text, len, err);
	if (status != CLOAK_OK) {
		cloak__fail_prefix(err, "key file");
		cloak__keyring_free(more);
		return status;
	}
	*ring = more;
	cloak__keyring_free(old);
	return CLOAK_OK;
}

cloak_status cloak_config_add_key_file(cloak_config *config, const char *path, cloak_error *err)
{
	const size_t cap = CLOAK__KEY_FILE_MAX + 1;
	char *text = NULL;
	size_t len = 0;
	cloak_status status;
	int fd;

	if (config == NULL || path == NULL)
		return refuse_argument(err, "config or path is NULL");
	/* not to wait for who writes into a pipe, which is refused anyway */
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (fd < 0)
		return refuse_errno(err, errno);
	status = check_file(fd, err);
	if (status != CLOAK_OK)
		goto out;
	text = cloak__locked_new(cap);
	if (text == NULL) {
		status = cloak__fail_nomem(err);
		goto out;
	}
	status = read_file(fd, text, cap, &len, err);
	if (status == CLOAK_OK)
		status = add_all(&config->ring, text, len, err);
out:
	cloak__locked_free(text);
	close(fd);
	return status;
}
