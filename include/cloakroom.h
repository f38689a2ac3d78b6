/* cloakroom: distributed web sessions over Redis */
/* SPDX-License-Identifier: MIT */
#ifndef CLOAKROOM_H
#define CLOAKROOM_H

#include <stddef.h>
#include <stdint.h>

/*
 * CONVENTIONS, valid for every call
 *
 * The order of calls. Build a cloak_config, open a cloak_store from it (once per process), and for
 * each web request create or load a cloak_session, read and change its attributes, save it, free
 * it. The smallest complete program is examples/minimal.c.
 *
 * Status. A function that can fail returns a cloak_status: 0 is CLOAK_OK; a value above 0 is an
 * outcome (nothing is wrong, there is just no result: no such session, somebody else saved first);
 * a value below 0 is a failure (CLOAK_E_...). Numbers never change. A store that cannot be reached
 * is always a failure, never CLOAK_NOT_FOUND: an outage is not a logout.
 *
 * Errors. `err`, where a function takes it, is the caller's own cloak_error and may be NULL. It is
 * written only when the function fails (status below 0): one line saying what and which. It never
 * holds an id, a key, a password or session data.
 *
 * Ownership, in the words of the @param lines. borrowed: valid until the named event, do not free.
 * copied: the library keeps its own copy. owned: the caller frees it with the named function.
 * consumed: the library's from here on, even on failure. Inputs are copied and getters borrow.
 *
 * Outs. Every out parameter is set to NULL or 0 before anything can fail. Where a caller supplies a
 * buffer, `len` holds its size on entry and the bytes written on return (without the final NUL);
 * a buffer that is too small gives CLOAK_E_NOSPACE and the needed size, NUL included, in *len.
 *
 * NULL. Every _free and _close accepts NULL and then does nothing. Any other handle or required
 * pointer that is NULL gives CLOAK_E_INVALID (or NULL or 0 where no status is returned).
 *
 * Text is UTF-8. Text in ends in NUL unless a length follows it; bytes always have a length. Text
 * handed out always ends in NUL.
 *
 * Times. Moments are int64_t milliseconds since 1970-01-01 UTC by the Redis server's clock, so a
 * host whose clock is wrong ends no session early and extends none. Spans are milliseconds too. In
 * options and URIs a span is a number with a unit: 500ms, 90s, 30m, 12h, 7d.
 *
 * Blocking. Only the calls marked @blocks wait for the network, and never longer than the store's
 * `timeout` option: looking up the host's name, connecting to each of its addresses and every
 * repetition included.
 *
 * Threads. A store may be used by any number of threads at once. A session and a config are used
 * by one thread at a time. Sessions may be freed in any order, on any thread, also after
 * cloak_store_close(); the store's memory goes with the last of them.
 *
 * Fork. A forked child may go on using the store: its first call opens a connection of its own and
 * sends nothing on the parent's. Do not fork while another thread is inside a call.
 *
 * Signals. The library raises no SIGPIPE and installs no handler; interrupted calls go on.
 *
 * Limits. Attribute name 1..255 bytes; attributes of one session 1024; a session's plaintext
 * record at most the `max_size` option (default 1 MiB); a session id is 32 characters.
 *
 * Environment. The library never prints, never exits, reads no environment variable and keeps no
 * thread. It starts one only to look up a host name that is not a numeric address, since the
 * system's resolver knows no deadline: with every signal blocked, at most 16 in a process, and
 * gone when the resolver has answered, which may be after the call. That resolver may read the
 * environment (resolv.conf(5)): a program that connects by name changes it before, not meanwhile. So
 * may OpenSSL, when a store with rediss:// is opened: its own configuration, and where the system keeps
 * the certificates of authorities (SSL_CERT_FILE, SSL_CERT_DIR).
 */

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__) || defined(__clang__)
#define CLOAK_API __attribute__((visibility("default")))
#define CLOAK_MUST_USE __attribute__((warn_unused_result))
#else
#define CLOAK_API
#define CLOAK_MUST_USE
#endif

/* ---- Version ------------------------------------------------------------------------------ */

#define CLOAK_VERSION_MAJOR 0
#define CLOAK_VERSION_MINOR 1
#define CLOAK_VERSION_PATCH 0

/** Return the version of the library at run time as text, "0.1.0".
 *
 *  @return [borrowed] for ever
 *  @threads any   @since 0.1 */
CLOAK_API const char *cloak_version_string(void);

/** Return the version of the library at run time: major * 1000000 + minor * 1000 + patch.
 *
 *  @return the number, 1000 for 0.1.0
 *  @threads any   @since 0.1 */
CLOAK_API int32_t cloak_version_number(void);

/** Tell whether this build of the library has a feature.
 *
 *  Known names in this release: "redis", "unix", "ring" and "memory", where sessions can be kept,
 *  and "tls". Later releases add names, so a program can ask instead of comparing versions.
 *
 *  @param feature  [borrowed] name, NUL-terminated
 *  @return 1 if this build has it, else 0 (also for names not known)
 *  @threads any   @since 0.1 */
CLOAK_API int cloak_has_feature(const char *feature);

/* ---- Status and errors -------------------------------------------------------------------- */

typedef int32_t cloak_status;

#define CLOAK_OK 0

/* outcomes */
#define CLOAK_NOT_FOUND 1   /* no such session: unknown, expired, destroyed; or no such attribute */
#define CLOAK_CONFLICT 2    /* somebody else saved first, or cookies that contradict each other */
#define CLOAK_RENEWED 3     /* the id was replaced when privilege changed; it opens nothing */
#define CLOAK_UNCONFIRMED 4 /* done, but not confirmed by as many replicas as `replicas` says */
#define CLOAK_PARTIAL 5     /* done in part: the statuses tell which */
#define CLOAK_LIMIT 6       /* the user has as many sessions as he may */

/* failures */
#define CLOAK_E_INVALID (-1)   /* an argument is wrong: NULL, range, type, malformed id */
#define CLOAK_E_NOMEM (-2)     /* out of memory */
#define CLOAK_E_TOO_LARGE (-3) /* the session exceeds max_size, or a limit on its attributes */
#define CLOAK_E_NOSPACE (-4)   /* the caller's buffer is too small; *len has the needed size */
#define CLOAK_E_CONFIG \
	(-5)                      /* an option, URI or key is wrong, or options contradict; or the
				   * server has no database of that number, or its certificate is
				   * refused */
#define CLOAK_E_TIMEOUT (-6)      /* the deadline passed; nothing was changed */
#define CLOAK_E_IO (-7)           /* the connection broke; nothing was changed */
#define CLOAK_E_PROTOCOL (-8)     /* the server answered something that makes no sense */
#define CLOAK_E_SERVER (-9)       /* the server refused: OOM, MISCONF, READONLY, ... */
#define CLOAK_E_UNAVAILABLE (-10) /* no connection, or the server is LOADING; try later */
#define CLOAK_E_UNKNOWN (-11)     /* sent, no answer: it may or may not have been applied */
#define CLOAK_E_AUTH (-12)        /* the server wants other credentials, or this user may not */
#define CLOAK_E_CRYPTO (-13)      /* sealed under a key this store does not have */
#define CLOAK_E_CORRUPT (-14)     /* the stored bytes do not open: damaged, tampered, foreign */
#define CLOAK_E_UNSUPPORTED (-15) /* this release cannot do that, or read that */
#define CLOAK_E_BUSY (-16)     /* the session has an operation in flight, or is in a list twice */
#define CLOAK_E_CLOSED (-17)   /* the store is closed */
#define CLOAK_E_INTERNAL (-18) /* a bug in the library; please report */

/** What went wrong, for a person to read. Its size is 512 bytes, for ever.
 *
 *  Allocate it anywhere, pass its address, read `text` after a failure. */
typedef struct cloak_error {
	cloak_status status;
	int32_t reserved[3];
	char text[496]; /* one line, NUL-terminated */
} cloak_error;

/** Return the name of a status, "CLOAK_E_TIMEOUT".
 *
 *  @param status  any number
 *  @return [borrowed] for ever; "CLOAK_?" for a number that is no status
 *  @threads any   @since 0.1 */
CLOAK_API const char *cloak_status_name(cloak_status status);

/** Return a status in words, "the deadline passed".
 *
 *  @param status  any number
 *  @return [borrowed] for ever; "unknown status" for a number that is no status
 *  @threads any   @since 0.1 */
CLOAK_API const char *cloak_status_text(cloak_status status);

/* ---- Configuration ------------------------------------------------------------------------ */

/** Everything a store is opened with. Made by one thread, then handed to cloak_store_open(), which
 *  copies it: one config can open several stores. */
typedef struct cloak_config cloak_config;

/** Make a config with every option at its default.
 *
 *  @param out  [owned] cloak_config_free(); NULL unless CLOAK_OK
 *  @return CLOAK_OK; CLOAK_E_INVALID: out is NULL; CLOAK_E_NOMEM; CLOAK_E_INTERNAL: the system
 *          gives no random bytes
 *  @threads any   @since 0.1 */
CLOAK_API CLOAK_MUST_USE cloak_status cloak_config_new(cloak_config **out);

/** Free a config, wiping the keys and the password in it.
 *
 *  @param config  [consumed] NULL is fine
 *  @threads any, one at a time   @since 0.1 */
CLOAK_API void cloak_config_free(cloak_config *config);

/** Set one option by name.
 *
 *  The options, their ranges and defaults are the table in README.md; cloak_config_property_at()
 *  lists them at run time. A value that is refused leaves the option as it was. Options that
 *  contradict each other (a `__Host-` cookie with a domain) are refused by cloak_store_open().
 *
 *  @param config  the config
 *  @param name    [borrowed] option, such as "idle_timeout"
 *  @param value   [copied] its value as text, such as "30m"
 *  @param err     why, on failure; never repeats the value of a secret option
 *  @return CLOAK_OK; CLOAK_E_INVALID: NULL; CLOAK_E_CONFIG: no such option, malformed or out of
 *          range; CLOAK_E_NOMEM
 *  @threads any, one at a time   @since 0.1 */
CLOAK_API CLOAK_MUST_USE cloak_status cloak_config_set(cloak_config *config, const char *name,
						       const char *value, cloak_error *err);

/** Set where the sessions live, and options, by a URI.
 *
 *    redis://[user:password@]host[:port][/db]    TCP; port 6379, db 0; IPv6 in brackets
 *    rediss://[user:password@]host[:port][/db]   the same over TLS 1.2 or later; the options tls_...
 *    redis+unix:///path/of/socket[?db=n]         Unix socket
 *    redis-ring://[user:password@]LIST[/db]      several servers, over which sessions are spread
 *    rediss-ring://[user:password@]LIST[/db]     the same over TLS
 *    memory:                                     this process only: for tests and single programs
 *
 *  With rediss:// the server's certificate must be signed by an authority of the system's store or
 *  of `tls_ca_file`, and be for the host of the URI or for `tls_server_name`. Nothing but
 *  `tls_insecure` turns that off.
 *
 *  LIST is name=host[:port][*weight],... with at least one item. Which server keeps a session is
 *  decided by its id and by the names and weights (1..1000, 1 without) in the list, whose order does
 *  not matter, and never by an address. A name has 1..63 letters, digits, '-', '_' and '.'. In place
 *  of host[:port] a Unix socket may stand, its '/' as %2F in the URI itself. A list that is in use is
 *  changed in steps, by the options `next` and `previous`: README.md, "Several servers".
 *
 *  Any option can follow as a query: redis://10.0.0.5/2?idle_timeout=1h&prefix=shop. User and
 *  password are percent-decoded (RFC 3986 section 2.1), so are query values and socket paths. The
 *  URI is applied as a whole or, when any part is refused, not at all.
 *
 *  @param config  the config
 *  @param uri     [copied] at most 4096 bytes
 *  @param err     why, on failure; never repeats a user or password
 *  @return CLOAK_OK; CLOAK_E_INVALID: NULL; CLOAK_E_CONFIG: malformed, or an option in it is
 *          wrong; CLOAK_E_UNSUPPORTED: the scheme is not in this build; CLOAK_E_NOMEM
 *  @threads any, one at a time   @since 0.1
 *  Source: RFC 3986 */
CLOAK_API CLOAK_MUST_USE cloak_status cloak_config_set_uri(cloak_config *config, const char *uri,
							   cloak_error *err);

#define CLOAK_KEY_READ 1u  /* open records sealed under this key */
#define CLOAK_KEY_WRITE 2u /* seal new records under this key too; exactly one key has it */

/** Add a master key to the key ring.
 *
 *  A store opens records under every key of the ring and seals under the one added with
 *  CLOAK_KEY_WRITE. To rotate: add the new key for reading everywhere, then switch writing to it,
 *  then drop the old one an hour after the longest session has ended: the lists of users' sessions
 *  last that much longer.
 *
 *  @param config  the config
 *  @param key     [copied] 32 raw bytes, or 43 or 44 characters of base64 (either alphabet)
 *  @param len     bytes at key: 32, 43 or 44
 *  @param use     CLOAK_KEY_READ or CLOAK_KEY_READ | CLOAK_KEY_WRITE (or CLOAK_KEY_WRITE alone,
 *                 which means the same: what is written must be read)
 *  @param err     why, on failure; never repeats the key
 *  @return CLOAK_OK; CLOAK_E_INVALID: NULL, no use or an unknown one; CLOAK_E_CONFIG: not a key,
 *          a key of all zeros, a second key to write, a key whose 4-byte id is in the ring
 *          already, the user key, more than 32 keys; CLOAK_E_NOMEM
 *  @threads any, one at a time   @since 0.1 */
CLOAK_API CLOAK_MUST_USE cloak_status cloak_config_add_key(cloak_config *config, const void *key,
							   size_t len, uint32_t use,
							   cloak_error *err);

/** Add the keys of a key file.
 *
 *  One key a line, in base64 of either alphabet; empty lines, and those that begin with #, are passed
 *  over:
 *
 *    seal KEY write      the key to write: new records are sealed under it
 *    seal KEY            a key to read, any number of them
 *    user KEY            the user key, at most one
 *
 *  The file must be a regular one, owned by this process's user or by root, with no access for others
 *  and no writing by its group: mode 0400, 0440, 0600 or 0640. Symbolic links are followed. It has at
 *  most 16 KiB. When anything is wrong no key of it is added.
 *
 *  @param config  the config
 *  @param path    [borrowed] path of the file
 *  @param err     why, on failure: which line and what; never repeats the path or what the file holds
 *  @return CLOAK_OK; CLOAK_E_INVALID: NULL; CLOAK_E_CONFIG: it cannot be read, or who may read or
 *          write it, a line or a key is wrong as cloak_config_add_key() and
 *          cloak_config_set_user_key() say; CLOAK_E_NOMEM
 *  @threads any, one at a time   @since 0.1 */
CLOAK_API CLOAK_MUST_USE cloak_status cloak_config_add_key_file(cloak_config *config,
								const char *path, cloak_error *err);

/** Add a master key that is made of a passphrase.
 *
 *  By Argon2id with 3 passes over 256 MiB, once, here: it takes about half a second and needs that
 *  memory. A program that starts with each request, as CGI programs do, would pay it each time; let it
 *  have a key file.
 *
 *  @param config      the config
 *  @param passphrase  [borrowed] any bytes; six words drawn at random are a good one
 *  @param len         bytes at passphrase, 12..1024
 *  @param salt        [borrowed] 8..1024 bytes of text: no secret, but this installation's own and the
 *                     same on every server, such as "sessions of shop.example, 2026"
 *  @param use         as for cloak_config_add_key()
 *  @param err         why, on failure; never repeats the passphrase
 *  @return as cloak_config_add_key(), and CLOAK_E_CONFIG: passphrase or salt is too short or too long;
 *          CLOAK_E_NOMEM: no 256 MiB
 *  @threads any, one at a time   @since 0.1
 *  Source: RFC 9106 */
CLOAK_API CLOAK_MUST_USE cloak_status cloak_config_add_passphrase(cloak_config *config,
								  const void *passphrase,
								  size_t len, const char *salt,
								  uint32_t use, cloak_error *err);

/** Set the user key, by which the names of users are hashed before the store sees them.
 *
 *  Needed by whatever works on the sessions of a user. It is apart from the keys of the key ring and is
 *  not rotated with them: under another user key the lists of sessions written so far are not found.
 *  It must be the same in every process.
 *
 *  @param config  the config
 *  @param key     [copied] 32 raw bytes, or 43 or 44 characters of base64 (either alphabet)
 *  @param len     bytes at key: 32, 43 or 44
 *  @param err     why, on failure; never repeats the key
 *  @return CLOAK_OK; CLOAK_E_INVALID: NULL; CLOAK_E_CONFIG: not a key, a key of all zeros, a key of
 *          the key ring, or there is a user key already
 *  @threads any, one at a time   @since 0.1 */
CLOAK_API CLOAK_MUST_USE cloak_status cloak_config_set_user_key(cloak_config *config,
								const void *key, size_t len,
								cloak_error *err);

/** Make a fresh master key: 32 random bytes as 44 characters of base64.
 *
 *  @param out  buffer for the text and its NUL
 *  @param len  in: its size, 45 is enough; out: 44
 *  @return CLOAK_OK; CLOAK_E_INVALID: NULL; CLOAK_E_NOSPACE: *len is the needed size;
 *          CLOAK_E_INTERNAL: the system gives no random bytes
 *  @threads any   @since 0.1 */
CLOAK_API CLOAK_MUST_USE cloak_status cloak_key_generate(char *out, size_t *len);

#define CLOAK_LOG_DEBUG 0
#define CLOAK_LOG_INFO 1
#define CLOAK_LOG_WARN 2

/** Receive one log line.
 *
 *  @param user     the word given to cloak_config_set_log()
 *  @param level    CLOAK_LOG_DEBUG, CLOAK_LOG_INFO or CLOAK_LOG_WARN
 *  @param event    [borrowed] stable name to search and count by, such as "record_tampered"; the
 *                  list is at cloak_config_set_log()
 *  @param message  [borrowed] one line; sessions are named by a truncated hash, never by id
 */
typedef void (*cloak_log_fn)(void *user, int32_t level, const char *event, const char *message);

/** Set where log lines go. Without a sink nothing is logged.
 *
 *  The sink is called on the thread that made the call, with no lock held; it may call the
 *  library. A failure that a call returns is not logged again above debug.
 *
 *  Event names never change, later releases add some; README.md says what each means:
 *
 *    debug  malformed_id, unknown_id, destroyed_id, record_tampered, unknown_key, connect_failed
 *    info   superseded_id, replay_after_grace, limit_reached
 *    info   connected, connection_lost, breaker_closed
 *    warn   cookie_conflict, breaker_open
 *
 *  cloak_store_metrics() tells how often, with a sink or without.
 *
 *  @param config  the config
 *  @param log     the sink, or NULL for none
 *  @param user    [borrowed] handed to each call, until the store's memory is gone
 *  @return CLOAK_OK; CLOAK_E_INVALID: config is NULL
 *  @threads any, one at a time   @since 0.1 */
CLOAK_API CLOAK_MUST_USE cloak_status cloak_config_set_log(cloak_config *config, cloak_log_fn log,
							   void *user);

#define CLOAK_CLOCK_WALL 0 /* milliseconds since 1970-01-01 UTC */
#define CLOAK_CLOCK_MONO 1 /* milliseconds since any fixed moment; never goes back */

/** Read a clock.
 *
 *  @param user   the word given to cloak_config_set_clock()
 *  @param which  CLOAK_CLOCK_WALL or CLOAK_CLOCK_MONO
 *  @return milliseconds
 */
typedef int64_t (*cloak_clock_fn)(void *user, int32_t which);

/** Replace the system's clocks, for tests and simulations.
 *
 *  The monotonic clock must advance with real time while a call waits for the network. The wall
 *  clock decides expiry only with `memory:`; a Redis store goes by the server's clock.
 *
 *  @param config  the config
 *  @param now     the clock, called from any thread; or NULL for the system's
 *  @param user    [borrowed] handed to each call, until the store's memory is gone
 *  @return CLOAK_OK; CLOAK_E_INVALID: config is NULL
 *  @threads any, one at a time   @since 0.1 */
CLOAK_API CLOAK_MUST_USE cloak_status cloak_config_set_clock(cloak_config *config,
							     cloak_clock_fn now, void *user);

/** One option, as cloak_config_property_at() describes it. Set `size` to sizeof before the call. */
typedef struct cloak_property {
	uint32_t size;
	int32_t secret;      /* 1: never print its value */
	const char *name;    /* "idle_timeout" */
	const char *type;    /* "text", "integer", "size", "span", "boolean" or "choice" */
	const char *range;   /* "1s..365d"; the choices; "" for free text */
	const char *initial; /* the default, "30m"; "" for none */
	const char *text;    /* what it does, one sentence */
} cloak_property;

/** Describe the option at an index, 0 and up.
 *
 *  @param index  0 for the first
 *  @param out    filled in; its texts are [borrowed] for ever
 *  @return CLOAK_OK; CLOAK_NOT_FOUND: past the last; CLOAK_E_INVALID: NULL, or out->size is smaller
 *          than this release's
 *  @threads any   @since 0.1 */
CLOAK_API CLOAK_MUST_USE cloak_status cloak_config_property_at(size_t index, cloak_property *out);

/* ---- Store -------------------------------------------------------------------------------- */

/** Where the sessions live: keys, options and connections. One per process is enough. */
typedef struct cloak_store cloak_store;

/** Open a store.
 *
 *  Nothing is sent: the first call that needs the server connects, so a web server can start before
 *  its Redis. Use cloak_store_ping() to check at start-up.
 *
 *  @param config  [copied] needs a URI and a key to write
 *  @param out     [owned] cloak_store_close(); NULL unless CLOAK_OK
 *  @param err     why, on failure
 *  @return CLOAK_OK; CLOAK_E_INVALID: NULL; CLOAK_E_CONFIG: no URI, no key to write, options that
 *          contradict, a file of the options tls_... that is missing or wrong; CLOAK_E_NOMEM
 *  @threads any   @since 0.1 */
CLOAK_API CLOAK_MUST_USE cloak_status cloak_store_open(const cloak_config *config,
						       cloak_store **out, cloak_error *err);

/** Close a store: connections are closed, keys wiped as soon as no call is under way.
 *
 *  Sessions still held stay readable and must still be freed; whatever would need the server
 *  answers CLOAK_E_CLOSED. The store handle is gone: no thread may pass it to a call from here on.
 *
 *  @param store  [consumed] NULL is fine
 *  @threads any, once   @since 0.1 */
CLOAK_API void cloak_store_close(cloak_store *store);

/** Check that the server can be reached and accepts the credentials; of several servers, each.
 *
 *  @param store  the store
 *  @param err    why, on failure
 *  @return CLOAK_OK; CLOAK_E_INVALID: NULL; CLOAK_E_UNAVAILABLE, CLOAK_E_AUTH, CLOAK_E_TIMEOUT,
 *          CLOAK_E_IO, CLOAK_E_SERVER, CLOAK_E_PROTOCOL, CLOAK_E_NOMEM
 *  @blocks up to `timeout`   @threads any   @since 0.1 */
CLOAK_API CLOAK_MUST_USE cloak_status cloak_store_ping(cloak_store *store, cloak_error *err);

/** Give an open store other keys or another ring, while other threads use it.
 *
 *  Calls that begin afterwards work with the new ones; calls under way end with those they began with.
 *  No call waits for it, and when it fails the store is as it was. Make the config as for
 *  cloak_store_open(), whole: it replaces what the store had, it is not added to that.
 *
 *  What may differ are the keys, and where the servers are: the servers of the URI, their names, weights and
 *  addresses, and the options `next`, `previous` and `lost`. Servers whose name and address stay keep their
 *  connections; those of one that goes are closed when the last call under way has ended. A ring
 *  changes by the steps of README.md, "Several servers": here too the new ring comes as `next` first,
 *  and then the two change places. The user key may be added, but not changed. Any other option that
 *  differs is refused. The log sink and the clock stay those the store was opened with.
 *
 *  @param store   the store
 *  @param config  [copied] as a whole
 *  @param err     why, on failure; names the option that cannot be changed
 *  @return CLOAK_OK; CLOAK_E_INVALID: NULL; CLOAK_E_CONFIG: as cloak_store_open(), or what differs
 *          cannot be changed, or not in this step; CLOAK_E_UNAVAILABLE: calls are under way in 255 earlier
 *          configurations; CLOAK_E_CLOSED; CLOAK_E_UNSUPPORTED: not with this storage;
 *          CLOAK_E_NOMEM
 *  @threads any   @since 0.1 */
CLOAK_API CLOAK_MUST_USE cloak_status cloak_store_reconfigure(cloak_store *store,
							      const cloak_config *config,
							      cloak_error *err);

/** Write what the store has counted since it was opened, as text for Prometheus.
 *
 *  Calls by operation and status, how long they took, retries, conflicts, security events, and for
 *  each connection what it has sent, received and gone through; README.md has the table. Nothing is
 *  sent, and no call under way is waited for. The text holds no id, name, key, password or host. It
 *  is for this process alone: a forked child goes on counting from its parent's numbers.
 *
 *  Serve it as `text/plain; version=0.0.4; charset=utf-8`. It grows: a buffer of 32 KiB is enough
 *  for one server, and the needed size of CLOAK_E_NOSPACE is rounded up so that it will usually do
 *  for the next call. One that must succeed calls in a loop until it is not CLOAK_E_NOSPACE.
 *
 *  @param store  the store
 *  @param out    buffer for the text and its NUL; may be NULL when *len is 0
 *  @param len    in: its size; out: the text's length
 *  @return CLOAK_OK; CLOAK_E_INVALID: NULL; CLOAK_E_NOSPACE: *len is a size to try;
 *          CLOAK_E_NOMEM
 *  @threads any   @since 0.1
 *  Source: Prometheus documentation, Exposition formats, text-based format 0.0.4 */
CLOAK_API CLOAK_MUST_USE cloak_status cloak_store_metrics(cloak_store *store, char *out,
							  size_t *len);

/* ---- Session ------------------------------------------------------------------------------ */

/** One user's session: attributes in memory, read from the store and written back by a save. */
typedef struct cloak_session cloak_session;

/** Make a new, empty session with a fresh id. Nothing is sent.
 *
 *  It is stored by the first cloak_session_save() that finds an attribute in it; a session that
 *  stays empty is never stored.
 *
 *  @param store  the store; the session keeps it alive
 *  @param out    [owned] cloak_session_free(); NULL unless CLOAK_OK
 *  @param err    why, on failure
 *  @return CLOAK_OK; CLOAK_E_INVALID: NULL; CLOAK_E_NOMEM
 *  @threads any   @since 0.1 */
CLOAK_API CLOAK_MUST_USE cloak_status cloak_session_create(cloak_store *store, cloak_session **out,
							   cloak_error *err);

#define CLOAK_LOAD_PEEK 1u /* do not extend the session's life by this load */

/** Load the session of an id, as received in a cookie.
 *
 *  One round trip. When more than `touch_percent` of the idle timeout has gone, the session's life
 *  is extended by a message that follows the load and is not waited for (unless CLOAK_LOAD_PEEK).
 *  A malformed id is answered without asking the server.
 *
 *  The id of a session that was renewed in time leads to it until the grace time is over, one round
 *  trip more for each renewal since. The handle then has the new id, and cloak_session_is_renewed()
 *  tells that the browser is to be given it.
 *
 *  @param store  the store
 *  @param id     [borrowed] as received; need not end in NUL
 *  @param len    bytes at id, any
 *  @param flags  0 or CLOAK_LOAD_PEEK
 *  @param out    [owned] cloak_session_free(); NULL unless CLOAK_OK
 *  @param err    why, on failure
 *  @return CLOAK_OK; CLOAK_NOT_FOUND: unknown, expired, destroyed, forged or malformed;
 *          CLOAK_RENEWED: replaced when privilege changed, leave the cookie alone: a response
 *          that carries the new one may be under way; CLOAK_E_INVALID: NULL, unknown flag;
 *          CLOAK_E_UNAVAILABLE, CLOAK_E_TIMEOUT, CLOAK_E_IO, CLOAK_E_AUTH, CLOAK_E_CONFIG, CLOAK_E_SERVER,
 *          CLOAK_E_PROTOCOL: no answer to be had, say "try later", never "logged out";
 *          CLOAK_E_TOO_LARGE: stored by a host with a larger `max_size`;
 *          CLOAK_E_CRYPTO: sealed under a key this store does not have; CLOAK_E_CORRUPT: stored
 *          bytes that do not open; CLOAK_E_UNSUPPORTED: stored by a later release;
 *          CLOAK_E_CLOSED; CLOAK_E_NOMEM
 *  @blocks up to `timeout`   @threads any   @since 0.1
 *  Source: Redis documentation, GET, PTTL */
CLOAK_API CLOAK_MUST_USE cloak_status cloak_session_load(cloak_store *store, const char *id,
							 size_t len, uint32_t flags,
							 cloak_session **out, cloak_error *err);

/** Read the session again from the store, dropping changes not saved.
 *
 *  The way on after CLOAK_CONFLICT or CLOAK_E_UNKNOWN. When it does not return CLOAK_OK the session
 *  is as it was, changes included. A session never saved cannot be reloaded: CLOAK_NOT_FOUND.
 *
 *  @param session  the session; attributes borrowed from it end here
 *  @param err      why, on failure
 *  @return CLOAK_OK; otherwise as cloak_session_load()
 *  @blocks up to `timeout`   @threads one at a time   @since 0.1 */
CLOAK_API CLOAK_MUST_USE cloak_status cloak_session_reload(cloak_session *session,
							   cloak_error *err);

/* Never merge with what others saved: answer CLOAK_CONFLICT. While keys are replaced a load may seal the
 * record anew, which counts as a save. */
#define CLOAK_SAVE_STRICT 1u

/** Write the session's changes to the store.
 *
 *  Nothing changed: nothing is sent (but the session's life is extended when due). Otherwise one
 *  round trip: the session is replaced only if it is still as loaded, so no other request's change
 *  is lost and a destroyed session stays destroyed. When somebody else saved first, what was done to
 *  this session since its load is done again on top of what they saved, attribute by attribute (set:
 *  the value set here; add: both sums; unset: gone), and saved, within the same call and its
 *  deadline; the handle then shows both. Two attributes changed by two requests are both kept; a
 *  rule that spans attributes is the application's: CLOAK_SAVE_STRICT answers CLOAK_CONFLICT
 *  instead. A save whose answer is lost is repeated; when it stays open whether it was applied, the answer is CLOAK_E_UNKNOWN: a further save of this
 *  handle asks the store whether it was (CLOAK_OK: it was; CLOAK_CONFLICT: it was not;
 *  CLOAK_E_UNKNOWN: that is still open) and sends no change; cloak_session_reload() starts anew. A
 *  session never saved before cannot be reloaded: once it is certain that it was not stored and never
 *  will be, at the latest two `timeout` after the save, the answer is CLOAK_CONFLICT and the save after
 *  it is a first save again.
 *
 *  A session that was renewed in time since its load is saved under its new id, which the handle then
 *  has. When its id is older than the option `renewal_timeout`, the save renews it itself, as
 *  cloak_session_renew() does, also when nothing changed, but never with CLOAK_SAVE_STRICT. See
 *  cloak_session_is_renewed().
 *
 *  With `replicas` set the save waits, up to `replicas_timeout_ms` more, until so many replicas have
 *  it too. CLOAK_UNCONFIRMED says that they do not, or that it is not known: the session is stored
 *  all the same and its handle is as after CLOAK_OK, but the next save of it is sent even if
 *  nothing has changed, so calling again asks again.
 *
 *  @param session  the session; attributes borrowed from it end here
 *  @param flags    0 or CLOAK_SAVE_STRICT
 *  @param err      why, on failure
 *  @return CLOAK_OK; CLOAK_UNCONFIRMED: saved, not confirmed by `replicas` replicas;
 *          CLOAK_NOT_FOUND: expired or destroyed meanwhile, or renewed and the grace time over:
 *          nothing was written;
 *          CLOAK_CONFLICT: somebody else saved since the load, and the save is strict, or an
 *          addition does not fit what they saved, or both together have over 1024 attributes: the
 *          session is as it was; CLOAK_RENEWED: replaced when privilege changed; CLOAK_E_INVALID: NULL, unknown flag;
 *          CLOAK_E_TOO_LARGE: over `max_size`, nothing was sent; CLOAK_E_UNKNOWN;
 *          CLOAK_E_UNAVAILABLE, CLOAK_E_TIMEOUT, CLOAK_E_IO, CLOAK_E_AUTH, CLOAK_E_CONFIG, CLOAK_E_SERVER,
 *          CLOAK_E_PROTOCOL: nothing was written; CLOAK_E_CRYPTO, CLOAK_E_CORRUPT,
 *          CLOAK_E_UNSUPPORTED: as in cloak_session_load(); CLOAK_E_CLOSED; CLOAK_E_NOMEM
 *  @blocks up to `timeout`   @threads one at a time   @since 0.1
 *  Source: Redis documentation, EVALSHA, SET, WAIT */
CLOAK_API CLOAK_MUST_USE cloak_status cloak_session_save(cloak_session *session, uint32_t flags,
							 cloak_error *err);

/** Load many sessions at once: one round trip for each shard, however many there are.
 *
 *  Each session is loaded as by cloak_session_load(), and one that fails hinders no other. Sent in
 *  groups of 256, all within one `timeout`.
 *
 *  @param store     the store
 *  @param ids       [borrowed] ids as received, `count` of them
 *  @param lens      [borrowed] their lengths; NULL: 32 bytes each
 *  @param count     how many, 0 and up
 *  @param flags     0 or CLOAK_LOAD_PEEK, for all
 *  @param sessions  [owned] cloak_session_free() each; NULL where the status is not CLOAK_OK
 *  @param statuses  for each id what cloak_session_load() would return
 *  @param err       of the first that failed
 *  @return CLOAK_OK: every status is CLOAK_OK; CLOAK_PARTIAL: see statuses; CLOAK_E_INVALID: NULL,
 *          unknown flag, nothing was done
 *  @blocks up to `timeout`   @threads any   @since 0.1
 *  Source: Redis documentation, "Redis pipelining" */
CLOAK_API CLOAK_MUST_USE cloak_status cloak_session_load_many(
	cloak_store *store, const char *const *ids, const size_t *lens, size_t count,
	uint32_t flags, cloak_session **sessions, cloak_status *statuses, cloak_error *err);

/** Save many sessions at once: one round trip for each shard.
 *
 *  Each is saved as by cloak_session_save(), but none is given a new id, however old it is; they are
 *  not a transaction, each has its own status.
 *  Sent in groups of 256, all within one `timeout`.
 *
 *  @param sessions  `count` handles of one store, each of them once
 *  @param count     how many, 0 and up
 *  @param flags     0 or CLOAK_SAVE_STRICT, for all
 *  @param statuses  for each session what cloak_session_save() would return; CLOAK_E_BUSY for a
 *                   handle that is in the list before
 *  @param err       of the first that failed
 *  @return CLOAK_OK: every status is CLOAK_OK; CLOAK_PARTIAL: see statuses; CLOAK_E_INVALID: NULL,
 *          unknown flag, handles of several stores, nothing was done
 *  @blocks up to `timeout`   @threads one at a time   @since 0.1
 *  Source: Redis documentation, "Redis pipelining" */
CLOAK_API CLOAK_MUST_USE cloak_status cloak_session_save_many(cloak_session *const *sessions,
							      size_t count, uint32_t flags,
							      cloak_status *statuses,
							      cloak_error *err);

#define CLOAK_RENEW_PRIVILEGE 1u /* the old id shall open nothing from now on */

/** Give the session a new id, and save its changes with it.
 *
 *  In time (flags 0): the old id leads to the new one until the option `renew_grace` is over, so
 *  requests under way with the old cookie are not logged out. Of requests that renew at the same time
 *  one wins; the others save their changes there, and all have the same new id. A session renewed
 *  less than a quarter of the grace time ago is saved under the id it has.
 *
 *  For privilege (CLOAK_RENEW_PRIVILEGE), when a visitor logs in or out or gains rights: the old id
 *  opens nothing any more, so whoever planted or stole it before has nothing. Loading it answers
 *  CLOAK_RENEWED. cloak_session_authenticate() does this and notes the time.
 *
 *  Two round trips. First the session is stored under the new id, which nobody knows yet; then the
 *  old id is made to lead on, and only then the handle has the new one. A failure before that leaves
 *  the old session as it was. Attributes, absolute timeout, idle time and the time of authentication
 *  go along; what others saved meanwhile is merged as by cloak_session_save(). Set the cookie
 *  when cloak_session_is_renewed() says so. A session never saved has a fresh id: it is just saved.
 *
 *  After CLOAK_E_UNKNOWN the handle keeps the old id; set no cookie. A further cloak_session_renew()
 *  or cloak_session_save() of the handle asks the store what became of it.
 *
 *  @param session  the session; attributes borrowed from it end here, so does its id as text
 *  @param flags    0 or CLOAK_RENEW_PRIVILEGE
 *  @param err      why, on failure
 *  @return CLOAK_OK: saved, see cloak_session_is_renewed(); CLOAK_UNCONFIRMED: the same, but fewer
 *          than `replicas` replicas have it, for which a renewal in time keeps the id; CLOAK_NOT_FOUND: expired or destroyed meanwhile;
 *          CLOAK_RENEWED: another renewal for privilege came first; CLOAK_CONFLICT: an
 *          addition does not fit what others saved, or an earlier save of unknown fate was not
 *          applied: reload; CLOAK_E_INVALID: NULL, unknown flag; CLOAK_E_UNKNOWN; CLOAK_E_BUSY: a user's
 *          session is being renewed too often at once, nothing was written; and otherwise as
 *          cloak_session_save()
 *  @blocks up to `timeout`   @threads one at a time   @since 0.1
 *  Source: OWASP Session Management Cheat Sheet, Renew the Session ID After Any Privilege Level Change,
 *  and Renewal Timeout */
CLOAK_API CLOAK_MUST_USE cloak_status cloak_session_renew(cloak_session *session, uint32_t flags,
							  cloak_error *err);

/** Note that the visitor has just proved who he is, and renew the session for privilege.
 *
 *  To be called when a password or second factor was checked: at log in, and when it was asked for
 *  again. The time is the server's. A session never saved is saved, be it empty.
 *
 *  @param session  the session; attributes borrowed from it end here, so does its id as text
 *  @param err      why, on failure
 *  @return as cloak_session_renew() with CLOAK_RENEW_PRIVILEGE; only after CLOAK_OK or
 *          CLOAK_UNCONFIRMED the visitor is logged in
 *  @blocks up to `timeout`   @threads one at a time   @since 0.1
 *  Source: NIST SP 800-63B section 7 */
CLOAK_API CLOAK_MUST_USE cloak_status cloak_session_authenticate(cloak_session *session,
								 cloak_error *err);

/** Tell whether the visitor was authenticated so recently. Nothing is sent.
 *
 *  @param session     the session
 *  @param max_age_ms  how long ago at most: 300000 for "older than five minutes: ask again";
 *                     INT64_MAX for "ever"
 *  @return 1 if cloak_session_authenticate() was called no longer ago, by the server's clock, else 0
 *  @threads one at a time   @since 0.1
 *  Source: NIST SP 800-63B section 7.2 */
CLOAK_API int cloak_session_authenticated(const cloak_session *session, int64_t max_age_ms);

/** Set the session's own idle timeout in the place of the option `idle_timeout`: "remember me".
 *
 *  It counts from the next save, and stays with the session through later saves, merges and
 *  renewals. The absolute timeout is not changed by it. A browser is to remember it beyond its closing,
 *  too, so the cookie of a session whose own idle time is the longer one has it as its Max-Age, unless
 *  the option `cookie_max_age` gives all cookies theirs; it must be set when this changes.
 *
 *  @param session  the session
 *  @param idle_ms  10 .. 31536000000 (365 days)
 *  @return CLOAK_OK; CLOAK_E_INVALID: NULL, out of range
 *  @threads one at a time   @since 0.1 */
CLOAK_API CLOAK_MUST_USE cloak_status cloak_session_set_idle(cloak_session *session,
							     int64_t idle_ms);

/** End the session in the store, for good: log out.
 *
 *  Its record goes and a marker stays for ten minutes or as long as the record would have, so no
 *  request still under way can bring the session back. When it was renewed since the load, what it was
 *  renewed to is ended too. Destroying twice is fine, so is a session that has expired or was never
 *  saved. The handle stays readable; saving it answers
 *  CLOAK_NOT_FOUND. Send the cookie of cloak_cookie_expire() with the response.
 *
 *  A renewal can be followed for ten minutes. A handle kept for longer, without a load or a save that
 *  was sent, may find nothing under its id; then nobody can tell whether the session has ended or lives
 *  on under a newer one, and the answer is CLOAK_NOT_FOUND. To be certain load by the cookie that the
 *  browser sends now, and destroy that.
 *
 *  With `replicas` set it waits until so many replicas have it, as a save does; calling again sends it
 *  again and asks again.
 *
 *  @param session  the session; not freed
 *  @param err      why, on failure
 *  @return CLOAK_OK: ended; CLOAK_UNCONFIRMED: ended, not confirmed by `replicas` replicas;
 *          CLOAK_RENEWED: this id had been replaced when privilege changed, and
 *          the session lives on under its new id; CLOAK_NOT_FOUND: nothing is there, and the handle
 *          is older than ten minutes, see above; CLOAK_E_INVALID: NULL; CLOAK_E_UNAVAILABLE,
 *          CLOAK_E_TIMEOUT, CLOAK_E_IO, CLOAK_E_AUTH, CLOAK_E_CONFIG, CLOAK_E_SERVER, CLOAK_E_PROTOCOL,
 *          CLOAK_E_UNKNOWN: not known to be ended, call again; CLOAK_E_CLOSED; CLOAK_E_NOMEM
 *  @blocks up to `timeout`   @threads one at a time   @since 0.1
 *  Source: Redis documentation, UNLINK, SET, WAIT */
CLOAK_API CLOAK_MUST_USE cloak_status cloak_session_destroy(cloak_session *session,
							    cloak_error *err);

/** Free the handle, wiping its data. Changes not saved are dropped; the store is not asked.
 *
 *  @param session  [consumed] NULL is fine
 *  @threads any, one at a time   @since 0.1 */
CLOAK_API void cloak_session_free(cloak_session *session);

/** Return the session's id, the value of its cookie: 32 characters of [A-Za-z0-9_-].
 *
 *  It is the user's key to the session: send it in a cookie, put it nowhere else.
 *
 *  @param session  the session
 *  @return [borrowed] until the next reload, save, renewal or free of the session; NULL if session is
 *          NULL
 *  @threads one at a time   @since 0.1 */
CLOAK_API const char *cloak_session_id(const cloak_session *session);

/** Return when the session was first saved.
 *
 *  @param session  the session
 *  @return milliseconds since 1970-01-01 UTC by the server's clock; 0 before the first save
 *  @threads one at a time   @since 0.1 */
CLOAK_API int64_t cloak_session_created_ms(const cloak_session *session);

/** Return when the session ends if nothing touches it again: the idle timeout counted from the last
 *  load, touch or save of this handle, and never past the absolute timeout.
 *
 *  @param session  the session
 *  @return milliseconds since 1970-01-01 UTC by the server's clock; 0 before the first save
 *  @threads one at a time   @since 0.1 */
CLOAK_API int64_t cloak_session_expires_ms(const cloak_session *session);

/** Tell whether the session has never been saved. Its cookie is to be set with the response in
 *  which this turns from 1 to 0.
 *
 *  @param session  the session
 *  @return 1 or 0
 *  @threads one at a time   @since 0.1 */
CLOAK_API int cloak_session_is_new(const cloak_session *session);

/** Tell whether the session has another id than the handle began with: it was renewed by this handle,
 *  or a load, save or renewal followed another's. Its cookie is to be set with this response.
 *
 *  To be asked at the end of each request, after its last call that may save:
 *
 *    set = (was_new && !cloak_session_is_new(s)) || cloak_session_is_renewed(s);
 *
 *  @param session  the session
 *  @return 1 or 0
 *  @threads one at a time   @since 0.1 */
CLOAK_API int cloak_session_is_renewed(const cloak_session *session);

/** Tell whether a save would write: an attribute or the idle time was changed since load, create or
 *  save.
 *
 *  Setting an attribute to the value it has is no change.
 *
 *  @param session  the session
 *  @return 1 or 0
 *  @threads one at a time   @since 0.1 */
CLOAK_API int cloak_session_is_dirty(const cloak_session *session);

/* ---- Attributes --------------------------------------------------------------------------- */

#define CLOAK_TYPE_BYTES 1
#define CLOAK_TYPE_TEXT 2
#define CLOAK_TYPE_I64 3
#define CLOAK_TYPE_BOOL 4

/* The four setters replace whatever the attribute was, its type included. Return: CLOAK_OK;
 * CLOAK_E_INVALID: NULL, a name that is empty or not UTF-8, text that is not UTF-8;
 * CLOAK_E_TOO_LARGE: name over 255 bytes, value over `max_size`, over 1024 attributes;
 * CLOAK_E_NOMEM. On failure the attribute is as it was. Attributes borrowed earlier end here. */

/** Set an attribute to bytes.
 *
 *  @param session  the session
 *  @param name     [copied] 1..255 bytes of UTF-8
 *  @param value    [copied] may be NULL if len is 0
 *  @param len      bytes at value
 *  @return as said above for all setters
 *  @threads one at a time   @since 0.1 */
CLOAK_API CLOAK_MUST_USE cloak_status cloak_session_set_bytes(cloak_session *session,
							      const char *name, const void *value,
							      size_t len);

/** Set an attribute to text.
 *
 *  @param session  the session
 *  @param name     [copied] 1..255 bytes of UTF-8
 *  @param value    [copied] UTF-8, NUL-terminated
 *  @return as said above for all setters
 *  @threads one at a time   @since 0.1 */
CLOAK_API CLOAK_MUST_USE cloak_status cloak_session_set_text(cloak_session *session,
							     const char *name, const char *value);

/** Set an attribute to a 64-bit integer.
 *
 *  @param session  the session
 *  @param name     [copied] 1..255 bytes of UTF-8
 *  @param value    any
 *  @return as said above for all setters
 *  @threads one at a time   @since 0.1 */
CLOAK_API CLOAK_MUST_USE cloak_status cloak_session_set_i64(cloak_session *session,
							    const char *name, int64_t value);

/** Set an attribute to true (any value but 0) or false (0).
 *
 *  @param session  the session
 *  @param name     [copied] 1..255 bytes of UTF-8
 *  @param value    truth
 *  @return as said above for all setters
 *  @threads one at a time   @since 0.1 */
CLOAK_API CLOAK_MUST_USE cloak_status cloak_session_set_bool(cloak_session *session,
							     const char *name, int value);

/** Add to an integer attribute; one that is absent counts as 0.
 *
 *  @param session  the session
 *  @param name     [copied] 1..255 bytes of UTF-8
 *  @param delta    what to add, may be negative
 *  @param out      the new value; may be NULL
 *  @return as said above for all setters, and CLOAK_E_INVALID: the attribute is not an integer, or
 *          the sum does not fit 64 bits
 *  @threads one at a time   @since 0.1 */
CLOAK_API CLOAK_MUST_USE cloak_status cloak_session_add_i64(cloak_session *session,
							    const char *name, int64_t delta,
							    int64_t *out);

/** Remove an attribute.
 *
 *  @param session  the session
 *  @param name     [borrowed] 1..255 bytes of UTF-8
 *  @return CLOAK_OK; CLOAK_NOT_FOUND: there is none of that name; CLOAK_E_INVALID: NULL, a name
 *          that is empty; CLOAK_E_NOMEM
 *  @threads one at a time   @since 0.1 */
CLOAK_API CLOAK_MUST_USE cloak_status cloak_session_unset(cloak_session *session, const char *name);

/* The getters return: CLOAK_OK; CLOAK_NOT_FOUND: there is none of that name; CLOAK_E_INVALID: NULL,
 * or the attribute is of another type. What they hand out is borrowed until the next set, unset,
 * add, save, reload or free of the session. */

/** Get an attribute that is bytes.
 *
 *  @param session  the session
 *  @param name     [borrowed] its name
 *  @param value    [borrowed] the bytes; NULL unless CLOAK_OK
 *  @param len      how many; 0 unless CLOAK_OK
 *  @return as said above for all getters
 *  @threads one at a time   @since 0.1 */
CLOAK_API CLOAK_MUST_USE cloak_status cloak_session_get_bytes(const cloak_session *session,
							      const char *name,
							      const uint8_t **value, size_t *len);

/** Get an attribute that is text.
 *
 *  @param session  the session
 *  @param name     [borrowed] its name
 *  @param value    [borrowed] UTF-8, NUL-terminated; NULL unless CLOAK_OK
 *  @param len      its bytes without the NUL, 0 unless CLOAK_OK; the pointer may be NULL
 *  @return as said above for all getters
 *  @threads one at a time   @since 0.1 */
CLOAK_API CLOAK_MUST_USE cloak_status cloak_session_get_text(const cloak_session *session,
							     const char *name, const char **value,
							     size_t *len);

/** Get an attribute that is an integer.
 *
 *  @param session  the session
 *  @param name     [borrowed] its name
 *  @param value    the integer; 0 unless CLOAK_OK
 *  @return as said above for all getters
 *  @threads one at a time   @since 0.1 */
CLOAK_API CLOAK_MUST_USE cloak_status cloak_session_get_i64(const cloak_session *session,
							    const char *name, int64_t *value);

/** Get an attribute that is a boolean.
 *
 *  @param session  the session
 *  @param name     [borrowed] its name
 *  @param value    1 or 0; 0 unless CLOAK_OK
 *  @return as said above for all getters
 *  @threads one at a time   @since 0.1 */
CLOAK_API CLOAK_MUST_USE cloak_status cloak_session_get_bool(const cloak_session *session,
							     const char *name, int *value);

/** Count the attributes.
 *
 *  @param session  the session
 *  @return how many; 0 if session is NULL
 *  @threads one at a time   @since 0.1 */
CLOAK_API size_t cloak_session_count(const cloak_session *session);

/** One attribute, as cloak_session_attr_at() shows it. Set `size` to sizeof before the call. */
typedef struct cloak_attr {
	uint32_t size;
	int32_t type;         /* CLOAK_TYPE_BYTES, _TEXT, _I64 or _BOOL */
	const char *name;     /* NUL-terminated */
	const uint8_t *value; /* bytes and text (text ends in NUL); else NULL */
	size_t len;           /* bytes at value */
	int64_t i64;          /* integer; boolean as 1 or 0; else 0 */
} cloak_attr;

/** Show the attribute at an index, in the order of their names (shorter first, then by bytes).
 *
 *  @param session  the session
 *  @param index    0 .. cloak_session_count() - 1
 *  @param out      filled in; its pointers are borrowed as those of the getters
 *  @return CLOAK_OK; CLOAK_NOT_FOUND: past the last; CLOAK_E_INVALID: NULL, or out->size is smaller
 *          than this release's
 *  @threads one at a time   @since 0.1 */
CLOAK_API CLOAK_MUST_USE cloak_status cloak_session_attr_at(const cloak_session *session,
							    size_t index, cloak_attr *out);

/* ---- Forms -------------------------------------------------------------------------------- */

/** Make a token for a form, by which cloak_session_csrf_check() knows that what is sent comes from a
 *  page of this session.
 *
 *  Put it into a hidden field of each form that changes something; base64url needs no escaping. Each
 *  call gives another text for the same secret, so a page may have many, and none is worth guessing by
 *  the length of compressed pages. All stay valid while the session lives, through renewals in time
 *  too, until it is renewed for privilege: ask for the token after cloak_session_authenticate(), and
 *  a form that was open when somebody logged in or out in another tab is refused. A page with a token
 *  is one browser's own: send `Cache-Control: no-store` with it.
 *
 *  Nothing is sent. A session that was never saved becomes one that the next save stores, be it empty,
 *  since the form needs it later; one that is stored is not changed, and needs no save.
 *
 *  @param session  the session
 *  @param out      buffer for the text and its NUL
 *  @param len      in: its size, 87 is enough; out: the text's length, 86
 *  @return CLOAK_OK; CLOAK_E_INVALID: NULL; CLOAK_E_NOSPACE: *len is the needed size
 *  @threads one at a time   @since 0.1
 *  Source: OWASP Cross-Site Request Forgery Prevention Cheat Sheet, Synchronizer Token Pattern */
CLOAK_API CLOAK_MUST_USE cloak_status cloak_session_csrf(cloak_session *session, char *out,
							 size_t *len);

/** Tell whether a token that came with a request was made for this session.
 *
 *  To be asked before anything is done that the request asks for. In time that does not depend on where
 *  a wrong token is wrong. Nothing is sent.
 *
 *  @param session  the session
 *  @param token    [borrowed] as received, any bytes; need not end in NUL; may be NULL (none)
 *  @param len      bytes at token
 *  @return 1 if it was, since the session was last renewed for privilege; else 0: refuse the
 *          request, with 403
 *  @threads one at a time   @since 0.1
 *  Source: OWASP Cross-Site Request Forgery Prevention Cheat Sheet, Synchronizer Token Pattern */
CLOAK_API CLOAK_MUST_USE int cloak_session_csrf_check(const cloak_session *session,
						      const char *token, size_t len);

/** Leave a message for the next page: "Your order is on its way".
 *
 *  It is the text attribute "flash:" with the name behind it, saved as any other; a flash not yet taken
 *  is replaced.
 *
 *  @param session  the session
 *  @param name     [copied] 1..249 bytes of UTF-8
 *  @param text     [copied] UTF-8, NUL-terminated
 *  @return CLOAK_OK; CLOAK_E_INVALID: NULL, an empty name, not UTF-8; CLOAK_E_TOO_LARGE: name over 249
 *          bytes, text over `max_size`, over 1024 attributes; CLOAK_E_NOMEM
 *  @threads one at a time   @since 0.1 */
CLOAK_API CLOAK_MUST_USE cloak_status cloak_session_flash_set(cloak_session *session,
							      const char *name, const char *text);

/** Take a message that was left, so that no later page shows it.
 *
 *  It is gone once the session is saved: save before the page is sent. Two requests that load the
 *  session at the same time may both get it. One that is set while another request takes the one
 *  before goes with it, if that request saves later.
 *
 *  @param session  the session
 *  @param name     [borrowed] as it was left
 *  @param text     [borrowed] UTF-8, NUL-terminated, until the next take or free of the session, through
 *                  saves too; NULL unless CLOAK_OK
 *  @param len      its bytes without the NUL, 0 unless CLOAK_OK; the pointer may be NULL
 *  @return CLOAK_OK; CLOAK_NOT_FOUND: there is none of that name; CLOAK_E_INVALID: NULL, an empty name,
 *          or the attribute is no text; CLOAK_E_NOMEM: it is still there
 *  @threads one at a time   @since 0.1 */
CLOAK_API CLOAK_MUST_USE cloak_status cloak_session_flash_take(cloak_session *session,
							       const char *name, const char **text,
							       size_t *len);

/* ---- Users -------------------------------------------------------------------------------- */

/*
 * A user is a text of the application's own: a number or a name in its database. The store sees a keyed
 * hash of it (cloak_config_set_user_key()). Sessions that are bound to a user are on a list of his, so that he
 * can see and end them; no load reads that list. A user has 256 sessions at most.
 */

/** Log the visitor in: the session becomes the user's, under a new id.
 *
 *  As cloak_session_authenticate(): the old id opens nothing any more, changes are saved with it, the time
 *  is noted, a session never saved is saved. Three round trips. When the user has as many sessions as the
 *  option `user_sessions_max` says, either his oldest is ended or this call is refused, as
 *  `user_sessions_full` says, also when several log in at once.
 *
 *  A log-in that runs while the user's sessions are ended is ended too, or comes after it. So that a log-in
 *  with an old password does not come after: change the password and commit that first, end the sessions
 *  then; and after cloak_session_bind() check once more that what the visitor has proved still holds.
 *
 *  Binding the user's own session again renews it for privilege, and replaces its label if one is given.
 *
 *  @param session  the session; attributes borrowed from it end here, so does its id as text
 *  @param user     [copied] 1..255 bytes of UTF-8
 *  @param label    [copied] what the user will know this session by, such as a browser's name; up to 255
 *                  bytes of UTF-8, any of them: escape it where it is shown; may be NULL
 *  @param err      why, on failure
 *  @return as cloak_session_renew() with CLOAK_RENEW_PRIVILEGE, only after CLOAK_OK,
 *          CLOAK_UNCONFIRMED or CLOAK_PARTIAL the visitor is logged in; CLOAK_PARTIAL: a session that is
 *          to end for this one, or that somebody else was ending, could not be reached: it is marked,
 *          and whoever binds or ends next tries again; CLOAK_LIMIT: the user has as many sessions as
 *          he may, this one is as it was; CLOAK_NOT_FOUND: also when it was ended meanwhile with all
 *          of the user's, or for later log-ins over the limit; CLOAK_E_BUSY: the session is being renewed
 *          too often at once, nothing was written; CLOAK_E_INVALID: also a user or label that is none, and a session that is
 *          another user's; CLOAK_E_CONFIG: no user key, or `absolute_timeout` is 0s; CLOAK_E_TOO_LARGE:
 *          also when the list of the user's sessions would be over `max_size`
 *  @blocks up to `timeout`   @threads one at a time   @since 0.1
 *  Source: OWASP Session Management Cheat Sheet, Renew the Session ID After Any Privilege Level Change */
CLOAK_API CLOAK_MUST_USE cloak_status cloak_session_bind(cloak_session *session, const char *user,
							 const char *label, cloak_error *err);

/** Log the user out of the session, and keep the session: it becomes nobody's, under a new id.
 *
 *  To end it altogether is cloak_session_destroy(). The time of authentication is forgotten. Three round
 *  trips; of a session that is nobody's nothing is sent.
 *
 *  @param session  the session; attributes borrowed from it end here, so does its id as text
 *  @param err      why, on failure
 *  @return as cloak_session_renew() with CLOAK_RENEW_PRIVILEGE
 *  @blocks up to `timeout`   @threads one at a time   @since 0.1 */
CLOAK_API CLOAK_MUST_USE cloak_status cloak_session_unbind(cloak_session *session,
							   cloak_error *err);

/** Return whose session it is.
 *
 *  @param session  the session
 *  @return [borrowed] the user, until the next bind, unbind, reload, save, renewal or free of the session;
 *          NULL: nobody's
 *  @threads one at a time   @since 0.1 */
CLOAK_API const char *cloak_session_user(const cloak_session *session);

/** Return the handle that the session has on its user's list. It stays the same when the id is renewed, and
 *  opens nothing.
 *
 *  @param session  the session
 *  @return [borrowed] until the next call with the session; NULL: the session is nobody's
 *  @threads one at a time   @since 0.1 */
CLOAK_API const char *cloak_session_handle(cloak_session *session);

/** A user's sessions as they were when asked for: "my devices". */
typedef struct cloak_user_sessions cloak_user_sessions;

/** One of them, as cloak_user_list_at() shows it. Set `size` to sizeof before the call. */
typedef struct cloak_user_session {
	uint32_t size;
	int32_t is_ending;    /* 1: ended, but not yet where it is stored; end it again */
	const char *handle;   /* 22 characters of [A-Za-z0-9_-], for a form */
	const char *label;    /* as given when it was bound; "" for none */
	int64_t created_ms;   /* when it was bound to the user */
	int64_t last_seen_ms; /* when it was used last; 0: not known, its server did not answer */
	int64_t expires_ms;   /* when it ends if it is not used; 0: not known */
} cloak_user_session;

/** List the sessions of a user, the one bound last first.
 *
 *  Two round trips. No ids are shown. When one was used last is known from what is left of its time to live,
 *  so to within the part of the idle timeout that `touch_percent` says, and near its absolute timeout
 *  less well. Sessions that have ended are not shown.
 *
 *  @param store  the store
 *  @param user   [borrowed] 1..255 bytes of UTF-8
 *  @param out    [owned] cloak_user_list_free(); NULL unless CLOAK_OK or CLOAK_PARTIAL
 *  @param err    why, on failure
 *  @return CLOAK_OK, also when there are none; CLOAK_PARTIAL: of some it could not be asked when they were
 *          used; CLOAK_E_INVALID: NULL, no user; CLOAK_E_CONFIG: no user key; CLOAK_E_UNAVAILABLE,
 *          CLOAK_E_TIMEOUT, CLOAK_E_IO, CLOAK_E_AUTH, CLOAK_E_SERVER, CLOAK_E_PROTOCOL, CLOAK_E_CRYPTO,
 *          CLOAK_E_CORRUPT, CLOAK_E_UNSUPPORTED, CLOAK_E_TOO_LARGE: as cloak_session_load();
 *          CLOAK_E_CLOSED; CLOAK_E_NOMEM
 *  @blocks up to `timeout`   @threads any   @since 0.1 */
CLOAK_API CLOAK_MUST_USE cloak_status cloak_user_list(cloak_store *store, const char *user,
						      cloak_user_sessions **out, cloak_error *err);

/** Count the sessions of a list.
 *
 *  @param list  the list
 *  @return how many; 0 if list is NULL
 *  @threads any   @since 0.1 */
CLOAK_API size_t cloak_user_list_count(const cloak_user_sessions *list);

/** Show the session at an index of a list.
 *
 *  @param list   the list
 *  @param index  0 .. cloak_user_list_count() - 1
 *  @param out    filled in; its texts are [borrowed] until cloak_user_list_free()
 *  @return CLOAK_OK; CLOAK_NOT_FOUND: past the last; CLOAK_E_INVALID: NULL, or out->size is smaller than
 *          this release's
 *  @threads any   @since 0.1 */
CLOAK_API CLOAK_MUST_USE cloak_status cloak_user_list_at(const cloak_user_sessions *list,
							 size_t index, cloak_user_session *out);

/** Free a list.
 *
 *  @param list  [consumed] NULL is fine
 *  @threads any, one at a time   @since 0.1 */
CLOAK_API void cloak_user_list_free(cloak_user_sessions *list);

/** End one session of a user, by the handle it has on his list.
 *
 *  @param store   the store
 *  @param user    [borrowed] 1..255 bytes of UTF-8: who is logged in, never what a form says
 *  @param handle  [borrowed] as received, any text
 *  @param err     why, on failure
 *  @return CLOAK_OK: ended; CLOAK_UNCONFIRMED: the same, not confirmed by `replicas` replicas;
 *          CLOAK_NOT_FOUND: the user has no session of that handle, whoever else may; CLOAK_PARTIAL: its
 *          server did not answer, it is marked and to be ended again; otherwise as cloak_user_end_all()
 *  @blocks up to `timeout`   @threads any   @since 0.1 */
CLOAK_API CLOAK_MUST_USE cloak_status cloak_user_end(cloak_store *store, const char *user,
						     const char *handle, cloak_error *err);

/** End all sessions of a user, or all but one: log out everywhere.
 *
 *  Four round trips, however many there are. No session is missed, also none that is bound or renewed at the
 *  same time: all that the user has at one moment of the call are ended; what he logs in with after that
 *  moment is not. See cloak_session_bind() for what a change of password does.
 *
 *  What could not be reached is marked, stays on the list and can not be renewed; calling again is safe and
 *  ends it.
 *
 *  @param store   the store
 *  @param user    [borrowed] 1..255 bytes of UTF-8
 *  @param except  the session to keep, bound to this user; NULL: none
 *  @param ended   how many were ended; may be NULL
 *  @param left    how many could not be reached; may be NULL
 *  @param err     why, on failure
 *  @return CLOAK_OK: every one, also when there are none; CLOAK_UNCONFIRMED: the same, not confirmed by
 *          `replicas` replicas; CLOAK_PARTIAL: some could not be reached, call again; CLOAK_E_INVALID:
 *          NULL, no user, or except is not his; CLOAK_E_CONFIG: no user key; CLOAK_E_UNAVAILABLE,
 *          CLOAK_E_TIMEOUT, CLOAK_E_IO, CLOAK_E_AUTH, CLOAK_E_SERVER, CLOAK_E_PROTOCOL, CLOAK_E_CRYPTO,
 *          CLOAK_E_CORRUPT, CLOAK_E_UNSUPPORTED, CLOAK_E_TOO_LARGE: the list could not be read or
 *          written, call again; CLOAK_E_CLOSED; CLOAK_E_NOMEM
 *  @blocks up to `timeout`   @threads any   @since 0.1 */
CLOAK_API CLOAK_MUST_USE cloak_status cloak_user_end_all(cloak_store *store, const char *user,
							 const cloak_session *except, size_t *ended,
							 size_t *left, cloak_error *err);

/* ---- Cookies ------------------------------------------------------------------------------ */

/** Find the session id in a Cookie request header.
 *
 *  Looks for the cookie named by the `cookie_name` option. Values that cannot be an id are passed
 *  over. Two different ids are never chosen between, since an attacker on a sibling host may have
 *  planted one of them: that is CLOAK_CONFLICT, to be treated as no session. The default name with
 *  its `__Host-` prefix keeps browsers from accepting such a second cookie at all.
 *
 *  @param store   the store, for its cookie options
 *  @param header  [borrowed] the header's value; need not end in NUL; may be NULL (no header)
 *  @param len     bytes at header; at most 64 KiB are read
 *  @param id      [borrowed] from header: the id, not NUL-terminated; NULL unless CLOAK_OK
 *  @param id_len  its bytes; 0 unless CLOAK_OK
 *  @return CLOAK_OK; CLOAK_NOT_FOUND: no such cookie; CLOAK_CONFLICT: two different ids;
 *          CLOAK_E_INVALID: NULL
 *  @threads any   @since 0.1
 *  Source: RFC 6265 section 4.2 and 5.4 */
CLOAK_API CLOAK_MUST_USE cloak_status cloak_cookie_find(cloak_store *store, const char *header,
							size_t len, const char **id,
							size_t *id_len);

/** Format the value of a Set-Cookie response header that gives the browser the session's id.
 *
 *  Name, path, domain, Secure, SameSite, Partitioned and Max-Age follow the `cookie_...` options, Max-Age
 *  also cloak_session_set_idle(); HttpOnly is always set. Send `Cache-Control: no-store` with a response
 *  that sets it.
 *
 *  @param session  the session
 *  @param out      buffer for the text and its NUL
 *  @param len      in: its size, 512 is enough for most options; out: the text's length
 *  @return CLOAK_OK; CLOAK_E_INVALID: NULL; CLOAK_E_NOSPACE: *len is the needed size
 *  @threads one at a time   @since 0.1
 *  Source: RFC 6265bis section 4.1 */
CLOAK_API CLOAK_MUST_USE cloak_status cloak_cookie_format(const cloak_session *session, char *out,
							  size_t *len);

/** Format the value of a Set-Cookie response header that makes the browser drop the cookie.
 *
 *  @param store  the store, for its cookie options
 *  @param out    buffer for the text and its NUL
 *  @param len    in: its size; out: the text's length
 *  @return CLOAK_OK; CLOAK_E_INVALID: NULL; CLOAK_E_NOSPACE: *len is the needed size
 *  @threads any   @since 0.1
 *  Source: RFC 6265bis section 4.1 */
CLOAK_API CLOAK_MUST_USE cloak_status cloak_cookie_expire(cloak_store *store, char *out,
							  size_t *len);

/* ---- Requests ----------------------------------------------------------------------------- */

/** The session of one web request, from its Cookie header to the headers of its response. It does what
 *  the calls above can be put together to do, and nothing else; a program may well use them instead.
 *
 *    begin, read and change the session, finish, send the headers, free
 *
 *  examples/cgi/login.c is a whole program. */
typedef struct cloak_web cloak_web;

/** Begin a request: find its session, or make a new one.
 *
 *  When it fails there is nothing to go on with: answer 503 with Retry-After, and send no cookie. A
 *  visitor whose session cannot be loaded is not logged out.
 *
 *    the Cookie header has             the session is    the cookie later, unless the table below says
 *    no id                             new               set once the session is stored
 *    two different ids                 new               set once the session is stored
 *    an id that opens a session        that one          left alone
 *    an id that was renewed in time    that one          set: the new id
 *    an id that opens nothing          new, other id     set once the session is stored
 *    an id whose record is damaged     new, other id     set once the session is stored
 *    an id that was replaced when      new, other id     left alone, and the session not stored, until
 *    privilege changed, just now                         cloak_session_authenticate()
 *    the same, a minute ago or more    new, other id     set once the session is stored
 *    an id, and the store cannot say   none: a failure   left alone
 *
 *  @param store   the store
 *  @param header  [borrowed] the value of the Cookie header, until this returns; need not end in NUL; may
 *                 be NULL (no header)
 *  @param len     bytes at header; at most 64 KiB are read
 *  @param flags   0; or CLOAK_LOAD_PEEK: a request that shall not extend the session, such as one that
 *                 a page makes by itself every minute
 *  @param out     [owned] cloak_web_free(); NULL unless CLOAK_OK
 *  @param err     why, on failure
 *  @return CLOAK_OK; CLOAK_E_INVALID: NULL, unknown flag; otherwise the failures of
 *          cloak_session_load(), without CLOAK_E_CORRUPT
 *  @blocks up to `timeout`   @threads any   @since 0.1
 *  Source: RFC 6265 section 5.4 */
CLOAK_API CLOAK_MUST_USE cloak_status cloak_web_begin(cloak_store *store, const char *header,
						      size_t len, uint32_t flags, cloak_web **out,
						      cloak_error *err);

/** Return the session of a request.
 *
 *  All calls for sessions may be used on it, cloak_session_authenticate() to log in and
 *  cloak_session_destroy() to log out among them, but not cloak_session_free().
 *
 *  @param web  the request
 *  @return [borrowed] until the free of the request; NULL if web is NULL
 *  @threads one at a time   @since 0.1 */
CLOAK_API cloak_session *cloak_web_session(cloak_web *web);

/** Finish a request: save its session, and make the headers that its response needs.
 *
 *  Before anything of the response is sent. A session that was not changed costs nothing, or what is
 *  due by the options: a renewal, or with a Max-Age the extension of the cookie, which writes the
 *  session instead of touching it. Of these a failure is none of the request.
 *
 *    the request                                                     Set-Cookie, with no-store
 *    stored a new session, logged in, or met a renewal               the new id
 *    destroyed the session                                           drops the cookie
 *    extended or saved a session whose cookie has a Max-Age          the id again, with its Max-Age
 *    saved a session whose own idle time was set or reset            the id again
 *    changed a session that was ended or replaced meanwhile          none
 *    anything else, a save that failed too                           none
 *
 *  After a failure or CLOAK_CONFLICT it may be called again, after cloak_session_reload() or without:
 *  as cloak_session_save(). The headers are those of the last call; also of one that failed, when
 *  the id had been changed by a call before it, which is not to be lost.
 *
 *  @param web  the request; attributes borrowed from its session end here
 *  @param err  why, on failure
 *  @return CLOAK_OK; CLOAK_UNCONFIRMED: saved, not confirmed by `replicas` replicas; CLOAK_NOT_FOUND: ended
 *          meanwhile, CLOAK_RENEWED: replaced when privilege changed: in both cases the
 *          changes are not stored; CLOAK_E_INVALID: NULL; and otherwise as cloak_session_save()
 *  @blocks up to `timeout`   @threads one at a time   @since 0.1
 *  Source: OWASP Session Management Cheat Sheet, Web Content Caching */
CLOAK_API CLOAK_MUST_USE cloak_status cloak_web_finish(cloak_web *web, cloak_error *err);

/** Show the response header at an index: none, or Set-Cookie and the Cache-Control that goes with it.
 *
 *  A page that shows what is in the session needs a Cache-Control of the program's own when there is
 *  none here.
 *
 *  @param web    the request
 *  @param index  0 and up
 *  @param name   [borrowed] for ever: "Set-Cookie" or "Cache-Control"; NULL unless CLOAK_OK
 *  @param value  [borrowed] until the next finish or free of the request; NULL unless CLOAK_OK
 *  @return CLOAK_OK; CLOAK_NOT_FOUND: past the last; CLOAK_E_INVALID: NULL
 *  @threads one at a time   @since 0.1 */
CLOAK_API CLOAK_MUST_USE cloak_status cloak_web_header_at(const cloak_web *web, size_t index,
							  const char **name, const char **value);

/** Free a request and its session. Changes not saved by cloak_web_finish() are dropped.
 *
 *  @param web  [consumed] NULL is fine
 *  @threads any, one at a time   @since 0.1 */
CLOAK_API void cloak_web_free(cloak_web *web);

#ifdef __cplusplus
}
#endif

#endif
