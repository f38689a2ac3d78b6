/* T0 test support: a real redis-server for one test or one suite */
/* SPDX-License-Identifier: MIT */
#include "redis_server.h"
#include "certificates.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#ifdef __linux__
#include <sys/prctl.h>
#endif

#define ARGS_MAX 64
#define MESSAGE_MAX 8192
#define READY_MS 10000
#define STOP_MS 3000

static int64_t mono_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static void pause_ms(int ms)
{
	poll(NULL, 0, ms);
}

/* ---- The keeper ---------------------------------------------------------------------------- */

/* Messages to the keeper: 'S' start (followed by the arguments, each ended by NUL), 'P' is it alive,
 * 'T' terminate, 'K' kill, 'Q' kill and quit. Each is answered by one int64_t: the process id, or 0
 * when there is none. */

static pid_t keeper_start(char *args, size_t len, const char *dir)
{
	char *argv[ARGS_MAX + 1];
	size_t argc = 0, at = 0;
	pid_t pid, keeper = getpid();
	int fd;

	while (at < len && argc < ARGS_MAX) {
		argv[argc++] = args + at;
		at += strlen(args + at) + 1;
	}
	argv[argc] = NULL;
	pid = fork();
	if (pid != 0)
		return pid < 0 ? 0 : pid;
#ifdef __linux__
	prctl(PR_SET_PDEATHSIG, SIGKILL);
#endif
	if (getppid() != keeper)
		_exit(126);
	if (chdir(dir) != 0)
		_exit(126);
	fd = open("output", O_WRONLY | O_CREAT | O_APPEND, 0600);
	if (fd >= 0) {
		dup2(fd, 1);
		dup2(fd, 2);
	}
	/* The first argument is the file; the program goes by the name it is called under. */
	args = argv[0];
	argv[0] = (char[]){"redis-server"};
	execv(args, argv);
	_exit(127);
}

static void keeper_end(pid_t pid, int sig)
{
	int64_t deadline_ms = mono_ms() + STOP_MS;

	if (pid <= 0)
		return;
	kill(pid, sig);
	kill(pid, SIGCONT);
	while (sig != SIGKILL) {
		if (waitpid(pid, NULL, WNOHANG) != 0)
			return;
		if (mono_ms() > deadline_ms) {
			kill(pid, SIGKILL);
			break;
		}
		pause_ms(2);
	}
	waitpid(pid, NULL, 0);
}

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	remove(path);
	return 0;
}

static void keeper_main(int fd, const char *dir)
{
	char message[MESSAGE_MAX];
	pid_t pid = 0;
	int i, quit = 0;

	/* Out of the test's process group, which Check kills as a whole; and without its files, so
	 * that no other keeper waits for this one. */
	setsid();
	for (i = 3; i < 1024; i++) {
		if (i != fd)
			close(i);
	}
	signal(SIGINT, SIG_IGN);
	signal(SIGPIPE, SIG_IGN);
	while (!quit) {
		ssize_t got = recv(fd, message, sizeof message - 1, 0);
		int64_t answer = 0;

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			break;
		message[got] = '\0';
		if (message[0] == 'S') {
			keeper_end(pid, SIGKILL);
			pid = keeper_start(message + 1, (size_t)got - 1, dir);
			answer = pid;
		} else if (message[0] == 'P') {
			if (pid > 0 && waitpid(pid, NULL, WNOHANG) == pid)
				pid = 0;
			answer = pid;
		} else {
			keeper_end(pid, message[0] == 'T' ? SIGTERM : SIGKILL);
			pid = 0;
			quit = message[0] == 'Q';
		}
		if (quit)
			nftw(dir, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
		send(fd, &answer, sizeof answer, MSG_NOSIGNAL);
	}
	keeper_end(pid, SIGKILL);
	nftw(dir, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
	_exit(0);
}

static int keeper_ask(struct redis_server *s, const void *message, size_t len)
{
	int64_t answer = 0;
	ssize_t got;

	if (send(s->keeper_fd, message, len, MSG_NOSIGNAL) != (ssize_t)len)
		return 0;
	do
		got = recv(s->keeper_fd, &answer, sizeof answer, 0);
	while (got < 0 && errno == EINTR);
	if (got != sizeof answer)
		return 0;
	s->pid = (pid_t)answer;
	return 1;
}

/* ---- Starting ------------------------------------------------------------------------------ */

static int find_program(char *out, size_t cap)
{
	const char *given = getenv("REDIS_SERVER"), *path = getenv("PATH");

	if (given && *given) {
		snprintf(out, cap, "%s", given);
		return access(out, X_OK) == 0;
	}
	while (path && *path) {
		int len = (int)strcspn(path, ":");

		snprintf(out, cap, "%.*s/redis-server", len, path);
		if (access(out, X_OK) == 0)
			return 1;
		path += len + (path[len] == ':');
	}
	snprintf(out, cap, "/usr/bin/redis-check-rdb");
	return access(out, X_OK) == 0;
}

/* A port nobody listens on now, outside the range the system takes for outgoing connections. */
static int free_port(void)
{
	struct sockaddr_in a = {.sin_family = AF_INET};
	static unsigned salt;
	int tries;

	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	for (tries = 0; tries < 100; tries++) {
		uint64_t mix = (uint64_t)getpid() * 7919u + (uint64_t)mono_ms() + ++salt * 104729u;
		int port = 15000 + (int)(mix % 17000u), fd = socket(AF_INET, SOCK_STREAM, 0), rc;

		a.sin_port = htons((uint16_t)port);
		rc = bind(fd, (struct sockaddr *)&a, sizeof a);
		close(fd);
		if (rc == 0)
			return port;
	}
	return 0;
}

static void put(char *message, size_t *len, const char *text)
{
	size_t n = strlen(text) + 1;

	if (*len + n <= MESSAGE_MAX - 1) {
		memcpy(message + *len, text, n);
		*len += n;
	}
}

/* The paths are absolute: relative ones are not found after --dir. */
static void put_tls(char *message, size_t *len, const struct redis_server *s)
{
	static const char *const files[][2] = {{"--tls-cert-file", "server.crt"},
					       {"--tls-key-file", "server.key"},
					       {"--tls-ca-cert-file", "ca.crt"}};
	char text[160];
	size_t i;

	if (s->tls_port == 0)
		return;
	snprintf(text, sizeof text, "%d", s->tls_port);
	put(message, len, "--tls-port");
	put(message, len, text);
	put(message, len, "--tls-auth-clients");
	put(message, len, "no");
	for (i = 0; i < sizeof files / sizeof *files; i++) {
		snprintf(text, sizeof text, "%s/%s", s->dir, files[i][1]);
		put(message, len, files[i][0]);
		put(message, len, text);
	}
}

static int launch(struct redis_server *s, const char *const *extra)
{
	char message[MESSAGE_MAX], program[1024], number[16];
	size_t len = 1;

	if (!find_program(program, sizeof program)) {
		fprintf(stderr, "redis_server: no redis-server (set REDIS_SERVER)\n");
		return 0;
	}
	snprintf(number, sizeof number, "%d", s->port);
	message[0] = 'S';
	put(message, &len, program);
	{
		const char *base[] = {"--port",
				      number,
				      "--bind",
				      "127.0.0.1",
				      "--unixsocket",
				      s->socket_path,
				      "--unixsocketperm",
				      "700",
				      "--dir",
				      s->dir,
				      "--logfile",
				      "log",
				      "--save",
				      "",
				      "--appendonly",
				      "no",
				      "--daemonize",
				      "no"};
		size_t i;

		for (i = 0; i < sizeof base / sizeof base[0]; i++)
			put(message, &len, base[i]);
	}
	if (s->password[0]) {
		put(message, &len, "--requirepass");
		put(message, &len, s->password);
	}
	put_tls(message, &len, s);
	/* replicas need not wait for each other */
	put(message, &len, "--repl-diskless-sync-delay");
	put(message, &len, "0");
	if (s->primary_port != 0) {
		snprintf(number, sizeof number, "%d", s->primary_port);
		put(message, &len, "--replicaof");
		put(message, &len, "127.0.0.1");
		put(message, &len, number);
	}
	for (; extra && *extra; extra++)
		put(message, &len, *extra);
	return keeper_ask(s, message, len) && s->pid > 0;
}

static redisContext *connect_raw(const struct redis_server *s, int64_t ms)
{
	struct timeval tv = {.tv_sec = ms / 1000, .tv_usec = (ms % 1000) * 1000};
	redisContext *c = redisConnectUnixWithTimeout(s->socket_path, tv);

	if (c && (c->err || redisSetTimeout(c, tv) != REDIS_OK)) {
		redisFree(c);
		c = NULL;
	}
	return c;
}

/* 1 once the server answers, 0 when it ended or the time is up. */
static int wait_ready(struct redis_server *s, int ready)
{
	int64_t deadline_ms = mono_ms() + READY_MS;

	while (mono_ms() < deadline_ms) {
		redisContext *c = connect_raw(s, 1000);
		redisReply *r = c ? redisCommand(c, "PING") : NULL;
		int up = r && (!ready || r->type == REDIS_REPLY_STATUS ||
			       strncmp(r->str, "NOAUTH", 6) == 0);

		if (r)
			freeReplyObject(r);
		if (c)
			redisFree(c);
		if (up)
			return 1;
		if (!keeper_ask(s, "P", 1) || s->pid <= 0)
			return 0;
		pause_ms(3);
	}
	return 0;
}

static void show_log(const struct redis_server *s)
{
	const char *names[] = {"output", "log"};
	char path[128], line[512];
	size_t i;

	for (i = 0; i < 2; i++) {
		FILE *f;

		snprintf(path, sizeof path, "%s/%s", s->dir, names[i]);
		f = fopen(path, "r");
		while (f && fgets(line, sizeof line, f))
			fprintf(stderr, "redis_server: %s", line);
		if (f)
			fclose(f);
	}
}

static int start_keeper(struct redis_server *s)
{
	const char *tmp = getenv("TMPDIR");
	int fds[2];

	if (!tmp || !*tmp || strlen(tmp) > 50)
		tmp = "/tmp";
	snprintf(s->dir, sizeof s->dir, "%s/cloak-redis-XXXXXX", tmp);
	if (!mkdtemp(s->dir)) {
		perror("redis_server: mkdtemp");
		s->dir[0] = '\0';
		return 0;
	}
	snprintf(s->socket_path, sizeof s->socket_path, "%s/s", s->dir);
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) != 0)
		return 0;
	s->keeper_pid = fork();
	if (s->keeper_pid == 0) {
		close(fds[0]);
		keeper_main(fds[1], s->dir);
	}
	close(fds[1]);
	s->keeper_fd = fds[0];
	return s->keeper_pid > 0;
}

struct redis_server *redis_server_start(const struct redis_options *options)
{
	static const struct redis_options plain;
	struct redis_server *s = calloc(1, sizeof *s);
	int tries;

	if (!s)
		return NULL;
	if (!options)
		options = &plain;
	s->keeper_fd = -1;
	snprintf(s->password, sizeof s->password, "%s", options->password ? options->password : "");
	s->primary_port = options->primary ? options->primary->port : 0;
	if (!start_keeper(s) || (options->tls && !certificates_make(s->dir)))
		goto fail;
	for (tries = 0; tries < (options->tcp || options->tls ? 5 : 1); tries++) {
		s->port = options->tcp ? free_port() : 0;
		s->tls_port = options->tls ? free_port() : 0;
		if (!launch(s, options->extra))
			goto fail;
		if (wait_ready(s, 1))
			return s;
		/* The port may have been taken meanwhile: another one. */
		redis_server_kill(s);
	}
	fprintf(stderr, "redis_server: does not come up\n");
	show_log(s);
fail:
	redis_server_free(s);
	return NULL;
}

int redis_server_restart(struct redis_server *s, const char *const *extra, int ready)
{
	if (launch(s, extra) && wait_ready(s, ready))
		return 1;
	fprintf(stderr, "redis_server: does not come up again\n");
	show_log(s);
	return 0;
}

int redis_server_stop(struct redis_server *s)
{
	return keeper_ask(s, "T", 1);
}

int redis_server_kill(struct redis_server *s)
{
	return keeper_ask(s, "K", 1);
}

void redis_server_pause(struct redis_server *s)
{
	char path[64], line[512];
	int64_t deadline_ms = mono_ms() + 1000;
	int stopped = 0;

	kill(s->pid, SIGSTOP);
	/* The signal takes effect a moment later: look until every thread stands still. */
	snprintf(path, sizeof path, "/proc/%d/stat", (int)s->pid);
	while (!stopped && mono_ms() < deadline_ms) {
		FILE *f = fopen(path, "r");
		char *state = f && fgets(line, sizeof line, f) ? strrchr(line, ')') : NULL;

		stopped = state && state[1] == ' ' && state[2] == 'T';
		if (f)
			fclose(f);
		else
			break;
		if (!stopped)
			pause_ms(1);
	}
}

void redis_server_resume(struct redis_server *s)
{
	kill(s->pid, SIGCONT);
}

int redis_server_has_replicas(const struct redis_server *s, int count)
{
	int64_t deadline_ms = mono_ms() + READY_MS;
	redisContext *c = redis_server_connect(s);
	int has = 0;

	/* A connection that has written nothing is told of all that follow, whatever they have. */
	while (c && !has && mono_ms() < deadline_ms) {
		redisReply *set = redisCommand(c, "SET redis_server_has_replicas 1 PX 1");
		redisReply *wait = redisCommand(c, "WAIT %d 200", count);

		has = set && wait && wait->type == REDIS_REPLY_INTEGER && wait->integer >= count;
		if (set)
			freeReplyObject(set);
		if (wait)
			freeReplyObject(wait);
		if (!has)
			pause_ms(3);
	}
	if (c)
		redisFree(c);
	return has;
}

void redis_server_free(struct redis_server *s)
{
	if (!s)
		return;
	if (s->keeper_fd >= 0) {
		keeper_ask(s, "Q", 1);
		close(s->keeper_fd);
	}
	/* ECHILD when a fork of the starter frees it. */
	if (s->keeper_pid > 0)
		waitpid(s->keeper_pid, NULL, 0);
	free(s);
}

/* ---- The test's own questions -------------------------------------------------------------- */

redisContext *redis_server_connect(const struct redis_server *s)
{
	redisContext *c = connect_raw(s, 5000);

	if (c && s->password[0]) {
		redisReply *r = redisCommand(c, "AUTH %s", s->password);

		if (!r || r->type != REDIS_REPLY_STATUS) {
			redisFree(c);
			c = NULL;
		}
		if (r)
			freeReplyObject(r);
	}
	return c;
}

static redisReply *vdo(const struct redis_server *s, const char *format, va_list args)
{
	redisContext *c = redis_server_connect(s);
	redisReply *r = NULL;

	if (!c) {
		fprintf(stderr, "redis_server: no connection for \"%s\"\n", format);
		return NULL;
	}
	r = redisvCommand(c, format, args);
	if (!r)
		fprintf(stderr, "redis_server: \"%s\": %s\n", format, c->errstr);
	redisFree(c);
	return r;
}

redisReply *redis_server_do(const struct redis_server *s, const char *format, ...)
{
	redisReply *r;
	va_list args;

	va_start(args, format);
	r = vdo(s, format, args);
	va_end(args);
	return r;
}

int64_t redis_server_ask(const struct redis_server *s, const char *format, ...)
{
	int64_t answer = INT64_MIN;
	redisReply *r;
	va_list args;

	va_start(args, format);
	r = vdo(s, format, args);
	va_end(args);
	if (!r)
		return answer;
	if (r->type == REDIS_REPLY_INTEGER)
		answer = r->integer;
	else if (r->type == REDIS_REPLY_STATUS || r->type == REDIS_REPLY_STRING)
		answer = 1;
	else if (r->type == REDIS_REPLY_NIL)
		answer = -1;
	else if (r->type == REDIS_REPLY_ERROR)
		fprintf(stderr, "redis_server: \"%s\": %s\n", format, r->str);
	freeReplyObject(r);
	return answer;
}
