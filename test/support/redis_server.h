/* T0 test support: a real redis-server for one test or one suite */
/* SPDX-License-Identifier: MIT */
#ifndef TEST_REDIS_SERVER_H
#define TEST_REDIS_SERVER_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <hiredis/hiredis.h>

/*
 *   test program ───socket pair───> keeper ───child───> redis-server      in a folder of its own
 *   (and Check's forks of it)       (waits)
 *
 * The keeper is a small process that starts and ends the server when asked. When the last process
 * that holds the other end of the socket pair is gone, however it ended, the keeper ends the server
 * and removes the folder. A server that loses its keeper is ended by the kernel (Linux). So a
 * server started in a fixture serves all tests of a suite, and each of them may stop or restart it.
 *
 * The program is $REDIS_SERVER, or redis-server in PATH, or /usr/bin/redis-check-rdb, which is the
 * same program under another name.
 *
 * Functions that can fail say why on stderr and return NULL or 0.
 */

struct redis_options {
	int tcp;              /* listen on 127.0.0.1 too, on a free port */
	int tls;              /* and by TLS, on another one; certificates.h says what is made */
	const char *password; /* requirepass; NULL for none */
	const struct redis_server
		*primary;         /* be a replica of that one, which listens on TCP; or NULL */
	const char *const *extra; /* further arguments, ended by NULL: "--maxmemory", "1mb", NULL */
};

struct redis_server {
	char dir[80];         /* its folder: "dump.rdb" and "log" are in it */
	char socket_path[96]; /* its Unix socket */
	char password[64];
	int port;         /* 0: Unix socket only, or with TLS only */
	int tls_port;     /* 0: no TLS; its certificates are in `dir` */
	int primary_port; /* 0: none */
	pid_t pid;
	int keeper_fd;
	pid_t keeper_pid;
};

/* Start, and wait until it answers PING. NULL options: a Unix socket, nothing more. */
struct redis_server *redis_server_start(const struct redis_options *options);
/* Start again with the same folder and port, and these further arguments. When wait_ready is 0 any
 * answer will do, LOADING too. The server must have been stopped or killed. */
int redis_server_restart(struct redis_server *s, const char *const *extra, int wait_ready);
int redis_server_stop(struct redis_server *s);    /* SIGTERM, after 3 s SIGKILL */
int redis_server_kill(struct redis_server *s);    /* SIGKILL */
void redis_server_pause(struct redis_server *s);  /* SIGSTOP, returns once it stands still */
void redis_server_resume(struct redis_server *s); /* SIGCONT */
/* End the server, remove the folder, free. NULL is fine. */
void redis_server_free(struct redis_server *s);

/* Write something, and wait until so many replicas have it: 1, or 0 after 10 s. */
int redis_server_has_replicas(const struct redis_server *s, int count);

/* A connection of the test's own, with the password given; NULL if there is none to be had. */
redisContext *redis_server_connect(const struct redis_server *s);
/* One command on a connection of its own (database 0): the reply, to be freed with
 * freeReplyObject(), or NULL. The format is hiredis's: %s, %b, %d. */
redisReply *redis_server_do(const struct redis_server *s, const char *format, ...);
/* The same, for an integer or a simple string: the integer, 1 for a string, -1 for nil, and
 * INT64_MIN for anything that went wrong. */
int64_t redis_server_ask(const struct redis_server *s, const char *format, ...);

#endif
