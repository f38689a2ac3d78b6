/* T1 unit: the keys of a config: given, from a file, from a passphrase */
/* SPDX-License-Identifier: MIT */
#include "../lib/config.h"

#include "../lib/key_file.h"
#include "support/check_main.h"
#include "support/oom.h"

/* the recipe of README.md */
#define main main_of_keys
int main_of_keys(int argc, char **argv);
#include "../examples/keys.c"
#undef main

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define K1 "AbcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPA"
#define K2 "BbcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPA"
#define GOOD "seal " K1 " write\nuser " K2 "\n"

static char folder[64], path[128];
static cloak_config *config;
static cloak_error err;

static void setup(void)
{
	ck_assert_int_eq(cloak_config_new(&config), CLOAK_OK);
	snprintf(folder, sizeof folder, "/tmp/cloakroom-keys-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(folder));
	snprintf(path, sizeof path, "%s/keys", folder);
	memset(&err, 0, sizeof err);
}

static void teardown(void)
{
	char other[160];

	snprintf(other, sizeof other, "%s.2", path);
	unlink(other);
	unlink(path);
	ck_assert_int_eq(rmdir(folder), 0);
	cloak_config_free(config);
	ck_assert_int_eq(oom_live(), 0);
}

static void put(const char *at, const void *text, size_t len, mode_t mode)
{
	int fd = open(at, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, text, len), (ssize_t)len);
	ck_assert_int_eq(fchmod(fd, mode), 0);
	ck_assert_int_eq(close(fd), 0);
}

static cloak_status add_file(void)
{
	memset(&err, 0, sizeof err);
	return cloak_config_add_key_file(config, path, &err);
}

static void has_no_key(void)
{
	ck_assert_int_eq(cloak__keyring_can_write(config->ring), 0);
	ck_assert_int_eq(cloak__keyring_has_user_key(config->ring), 0);
}

/* ---- key file ---- */

START_TEST(key_file_adds_its_keys)
{
	put(path, GOOD, strlen(GOOD), 0600);
	ck_assert_int_eq(add_file(), CLOAK_OK);
	ck_assert_int_eq(cloak__keyring_can_write(config->ring), 1);
	ck_assert_int_eq(cloak__keyring_has_user_key(config->ring), 1);
	/* the same again is the same keys again */
	ck_assert_int_eq(add_file(), CLOAK_E_CONFIG);
	ck_assert_str_eq(err.text, "key file: line 1: the key ring has a key to write already");
}
END_TEST

/* All or nothing: what stands before the wrong line is not added either. */
START_TEST(key_file_with_a_wrong_line_adds_nothing)
{
	static const char text[] = GOOD "seal " K1 "\n";

	put(path, text, sizeof text - 1, 0600);
	ck_assert_int_eq(add_file(), CLOAK_E_CONFIG);
	ck_assert_ptr_nonnull(strstr(err.text, "line 3: "));
	has_no_key();
	ck_assert_int_eq(cloak_config_add_key(config, K1, 43, CLOAK_KEY_WRITE, &err), CLOAK_OK);
}
END_TEST

/* SEC-29: others may not read the key, and only its owner may write it. */
START_TEST(key_file_others_have_access_to_is_refused)
{
	put(path, GOOD, strlen(GOOD), 0600);
	for (mode_t mode = 0; mode <= 0777; mode++) {
		int is_good = (mode & 0400) && !(mode & 0027);
		cloak_config *fresh;
		cloak_status status;

		/* root reads whatever the mode says */
		if (!(mode & 0400))
			continue;
		ck_assert_int_eq(chmod(path, mode), 0);
		ck_assert_int_eq(cloak_config_new(&fresh), CLOAK_OK);
		status = cloak_config_add_key_file(fresh, path, &err);
		cloak_config_free(fresh);
		ck_assert_msg(status == (is_good ? CLOAK_OK : CLOAK_E_CONFIG), "mode %o: %d",
			      (unsigned)mode, status);
	}
	ck_assert_int_eq(chmod(path, 0644), 0);
	ck_assert_int_eq(add_file(), CLOAK_E_CONFIG);
	ck_assert_ptr_nonnull(strstr(err.text, "others"));
	ck_assert_int_eq(chmod(path, 0660), 0);
	ck_assert_int_eq(add_file(), CLOAK_E_CONFIG);
	ck_assert_ptr_nonnull(strstr(err.text, "group"));
}
END_TEST

START_TEST(key_file_of_another_user_is_refused)
{
	put(path, GOOD, strlen(GOOD), 0440);
	if (chown(path, 12345, (gid_t)-1) != 0)
		return; /* only root can try */
	ck_assert_int_eq(add_file(), CLOAK_E_CONFIG);
	ck_assert_ptr_nonnull(strstr(err.text, "belongs"));
	has_no_key();
	/* root's is fine for another user, who may read it by its group */
	ck_assert_int_eq(chown(path, 0, 23456), 0);
	ck_assert_int_eq(chmod(folder, 0711), 0);
	ck_assert_int_eq(setegid(23456), 0);
	ck_assert_int_eq(seteuid(12345), 0);
	ck_assert_int_eq(add_file(), CLOAK_OK);
	ck_assert_int_eq(seteuid(0), 0);
	ck_assert_int_eq(setegid(0), 0);
}
END_TEST

START_TEST(key_file_may_be_a_link_as_kubernetes_has_them)
{
	char real[160];

	snprintf(real, sizeof real, "%s.2", path);
	put(real, GOOD, strlen(GOOD), 0440);
	ck_assert_int_eq(symlink("keys.2", path), 0);
	ck_assert_int_eq(add_file(), CLOAK_OK);
}
END_TEST

static void refused_as(const char *why)
{
	ck_assert_int_eq(add_file(), CLOAK_E_CONFIG);
	ck_assert_int_eq(err.status, CLOAK_E_CONFIG);
	ck_assert_msg(strstr(err.text, why) != NULL, "%s", err.text);
	ck_assert_ptr_null(strstr(err.text, folder));
	has_no_key();
}

START_TEST(what_is_no_regular_file_is_refused_without_waiting)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int fd;

	refused_as("there is none");
	ck_assert_int_eq(mkdir(path, 0700), 0);
	refused_as("no regular file");
	ck_assert_int_eq(rmdir(path), 0);
	ck_assert_int_eq(mkfifo(path, 0600), 0); /* that nobody writes into */
	refused_as("no regular file");
	ck_assert_int_eq(unlink(path), 0);
	ck_assert_int_eq(symlink("/dev/zero", path), 0);
	refused_as("no regular file");
	ck_assert_int_eq(unlink(path), 0);
	ck_assert_int_eq(symlink("keys", path), 0);
	refused_as("system error");
	ck_assert_int_eq(unlink(path), 0);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ck_assert_int_lt(snprintf(addr.sun_path, sizeof addr.sun_path, "%s", path),
			 (int)sizeof addr.sun_path);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&addr, sizeof addr), 0);
	refused_as("no regular file");
	close(fd);
}
END_TEST

START_TEST(key_file_has_a_largest_size)
{
	static char text[CLOAK__KEY_FILE_MAX + 1];

	memset(text, '\n', sizeof text);
	memcpy(text, GOOD, strlen(GOOD));
	put(path, text, sizeof text, 0600);
	refused_as("over 16384 bytes");
	put(path, text, sizeof text - 1, 0600);
	ck_assert_int_eq(add_file(), CLOAK_OK);
	unlink(path);
	put(path, "", 0, 0600);
	ck_assert_int_eq(add_file(), CLOAK_E_CONFIG);
}
END_TEST

static int open_files(void)
{
	DIR *dir = opendir("/proc/self/fd");
	int count = 0;

	ck_assert_ptr_nonnull(dir);
	while (readdir(dir) != NULL)
		count++;
	closedir(dir);
	return count;
}

START_TEST(key_file_leaves_no_descriptor_and_no_memory)
{
	int before = open_files();

	refused_as("there is none");
	put(path, "seal no\n", 8, 0600);
	refused_as("base64");
	put(path, GOOD, strlen(GOOD), 0604);
	refused_as("others");
	ck_assert_int_eq(chmod(path, 0600), 0);
	for (long n = 0;; n++) {
		long live = oom_live();
		cloak_status status;

		oom_fail_at(n);
		status = add_file();
		oom_fail_at(-1);
		if (!oom_hit()) {
			ck_assert_int_ge(n, 1);
			ck_assert_int_eq(status, CLOAK_OK);
			break;
		}
		ck_assert_int_eq(status, CLOAK_E_NOMEM);
		ck_assert_int_eq(oom_live(), live);
		has_no_key();
	}
	ck_assert_int_eq(open_files(), before);
}
END_TEST

START_TEST(null_arguments_are_invalid)
{
	ck_assert_int_eq(cloak_config_add_key_file(NULL, path, &err), CLOAK_E_INVALID);
	ck_assert_int_eq(cloak_config_add_key_file(config, NULL, &err), CLOAK_E_INVALID);
	ck_assert_int_eq(cloak_config_add_passphrase(NULL, "twelve bytes", 12, "8 bytes!",
						     CLOAK_KEY_READ, &err),
			 CLOAK_E_INVALID);
	ck_assert_int_eq(
		cloak_config_add_passphrase(config, NULL, 12, "8 bytes!", CLOAK_KEY_READ, &err),
		CLOAK_E_INVALID);
	ck_assert_int_eq(
		cloak_config_add_passphrase(config, "twelve bytes", 12, NULL, CLOAK_KEY_READ, &err),
		CLOAK_E_INVALID);
	ck_assert_int_eq(
		cloak_config_add_passphrase(config, "twelve bytes", 12, "8 bytes!", 4, &err),
		CLOAK_E_INVALID);
	has_no_key();
}
END_TEST

static char planted[] = K1;
static int leaks;

static void look_for_key(void *p)
{
	if (memmem(p, 64, planted + 4, 32) != NULL)
		leaks++;
}

/* SEC-29: the text of the key is nowhere in ordinary memory. The smallest block freed here is the
 * ring's own, which is larger than what is looked at. */
START_TEST(text_of_a_key_file_is_not_in_ordinary_memory)
{
	put(path, GOOD, strlen(GOOD), 0600);
	leaks = 0;
	oom_watch_free(look_for_key);
	ck_assert_int_eq(add_file(), CLOAK_OK);
	oom_watch_free(NULL);
	ck_assert_int_eq(leaks, 0);
}
END_TEST

/* ---- environment ---- */

START_TEST(recipe_takes_a_key_from_the_environment_and_out_of_it)
{
	char key[] = K1, wrong[] = "QQQQ";

	unsetenv("CLOAKROOM_KEY_FILE");
	unsetenv("CLOAKROOM_KEY");
	ck_assert_int_eq(add_keys(config, &err), CLOAK_E_CONFIG);
	ck_assert_int_eq(setenv("CLOAKROOM_KEY", wrong, 1), 0);
	ck_assert_int_eq(add_keys(config, &err), CLOAK_E_CONFIG);
	ck_assert_ptr_null(strstr(err.text, "QQ"));
	has_no_key();
	ck_assert_int_eq(setenv("CLOAKROOM_KEY", key, 1), 0);
	ck_assert_int_eq(add_keys(config, &err), CLOAK_OK);
	ck_assert_int_eq(cloak__keyring_can_write(config->ring), 1);
	ck_assert_ptr_null(getenv("CLOAKROOM_KEY"));
}
END_TEST

START_TEST(recipe_runs_as_a_program)
{
	static char name[] = "keys", uri[] = "memory:", *argv[] = {name, uri, NULL};

	put(path, GOOD, strlen(GOOD), 0400);
	ck_assert_int_eq(setenv("CLOAKROOM_KEY_FILE", path, 1), 0);
	ck_assert_int_eq(main_of_keys(2, argv), 0);
	ck_assert_int_eq(chmod(path, 0404), 0);
	ck_assert_int_eq(main_of_keys(2, argv), 1);
	unsetenv("CLOAKROOM_KEY_FILE");
}
END_TEST

/* ---- passphrase ---- */

/* SEC-27: a passphrase is stretched, and the same one gives the same key with the same salt. */
START_TEST(passphrase_gives_one_key_for_each_salt)
{
	ck_assert_int_eq(cloak_config_add_passphrase(config, "correct horse battery staple", 28,
						     "shop.example", CLOAK_KEY_WRITE, &err),
			 CLOAK_OK);
	ck_assert_int_eq(cloak__keyring_can_write(config->ring), 1);
	ck_assert_int_eq(cloak_config_add_passphrase(config, "correct horse battery staple", 28,
						     "shop.example", CLOAK_KEY_READ, &err),
			 CLOAK_E_CONFIG);
	ck_assert_ptr_nonnull(strstr(err.text, "key id"));
	ck_assert_int_eq(cloak_config_add_passphrase(config, "correct horse battery staple", 28,
						     "shop.examplf", CLOAK_KEY_READ, &err),
			 CLOAK_OK);
}
END_TEST

/* SEC-27 */
START_TEST(passphrase_and_salt_have_least_and_largest_lengths)
{
	static const struct {
		size_t len, salt_len;
		cloak_status status;
	} cases[] = {
		{11, 8, CLOAK_E_CONFIG},    {12, 7, CLOAK_E_CONFIG}, {1025, 8, CLOAK_E_CONFIG},
		{12, 1025, CLOAK_E_CONFIG}, {12, 8, CLOAK_OK},       {1024, 1024, CLOAK_OK},
		{0, 8, CLOAK_E_CONFIG},     {12, 0, CLOAK_E_CONFIG},
	};
	char passphrase[1025], salt[1026];

	memset(passphrase, 'Q', sizeof passphrase);
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		memset(salt, 's', sizeof salt);
		salt[cases[i].salt_len] = '\0';
		memset(&err, 0, sizeof err);
		ck_assert_int_eq(cloak_config_add_passphrase(config, passphrase, cases[i].len, salt,
							     CLOAK_KEY_READ, &err),
				 cases[i].status);
		ck_assert_ptr_null(strstr(err.text, "QQ"));
	}
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("config_keys");
	TCase *files = tcase_create("files"), *words = tcase_create("passphrases");

	tcase_add_checked_fixture(files, setup, teardown);
	tcase_add_test(files, key_file_adds_its_keys);
	tcase_add_test(files, key_file_with_a_wrong_line_adds_nothing);
	tcase_add_test(files, key_file_others_have_access_to_is_refused);
	tcase_add_test(files, key_file_of_another_user_is_refused);
	tcase_add_test(files, key_file_may_be_a_link_as_kubernetes_has_them);
	tcase_add_test(files, what_is_no_regular_file_is_refused_without_waiting);
	tcase_add_test(files, key_file_has_a_largest_size);
	tcase_add_test(files, key_file_leaves_no_descriptor_and_no_memory);
	tcase_add_test(files, null_arguments_are_invalid);
	tcase_add_test(files, text_of_a_key_file_is_not_in_ordinary_memory);
	tcase_add_test(files, recipe_takes_a_key_from_the_environment_and_out_of_it);
	tcase_add_test(files, recipe_runs_as_a_program);
	tcase_add_checked_fixture(words, setup, teardown);
	tcase_set_timeout(words, 30);
	tcase_add_test(words, passphrase_gives_one_key_for_each_salt);
	tcase_add_test(words, passphrase_and_salt_have_least_and_largest_lengths);
	suite_add_tcase(suite, files);
	suite_add_tcase(suite, words);
	return suite;
}

CLOAK_CHECK_MAIN(make_suite)
