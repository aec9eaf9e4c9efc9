/* SPDX-License-Identifier: Apache-2.0 */
/*
 * client.h - libudptun-client: drive udptund over its command socket.
 *
 * A *client* is one connection to the daemon. A *call* is an action with its parameters as JSON
 * text; the *reply* is JSON text. docs/command-socket.md lists them; `udptunctl call ACTION JSON`
 * is the quickest way to try one. The library knows the envelope (ids, status codes,
 * errors, events) and leaves the content to the two ends, so an action of a newer daemon needs no
 * newer library.
 *
 *     struct udptun_error err;
 *     char *status;
 *     udptun_client *client = udptun_client_new(NULL, &err);
 *     if (client && udptun_client_get_status(client, NULL, &status, &err) == 0) {
 *         puts(status);
 *         udptun_client_free_text(status);
 *     } else {
 *         fprintf(stderr, "%s\n", err.message);
 *     }
 *     udptun_client_free(client);
 *
 * Two ways to run it:
 *
 *   synchronous   udptun_client_call_wait() and the typed functions at the end send one call and
 *                 poll this connection alone until it is answered.
 *   asynchronous  udptun_client_call() queues; the app's own loop asks for the descriptor, the
 *                 events and the timeout, and calls udptun_client_process() when one of them is
 *                 due. Nothing here blocks.
 *
 * Both may be mixed on one client: while a synchronous call polls, the callbacks of others fire.
 *
 * Threads. The library starts none and has no global state. A client is used by one thread at a
 * time; different clients are independent.
 *
 * Callbacks fire only inside udptun_client_process(), udptun_client_call_wait() and its kin,
 * udptun_client_cancel() and udptun_client_free(), never inside udptun_client_call(). In a
 * callback every function may be called but the synchronous ones; udptun_client_free() as well:
 * the handle is invalid for the caller at once, the memory goes when the library returns.
 *
 * Ownership. Strings passed in are copied. Strings handed to a callback are valid until it
 * returns. Strings given out through a `char **` belong to the caller: udptun_client_free_text().
 *
 * Errors. Functions return 0 or a negative code of <udptun/error.h> and fill `err`, which may be
 * NULL. A code from the daemon is its statusCode, negated.
 *
 * Timeouts are in milliseconds. A call that fails with UDPTUN_E_TIMEOUT is not carried out later,
 * also by a daemon that stood still meanwhile; only what the daemon had begun by then may be done.
 * (An older daemon, without the feature "deadline", carries it out whenever it reads it.)
 *
 * Versions. Structs that the app fills begin with their `size`, set by their _init function, so
 * that an app built against an older header runs with a newer library: fields it does not know keep
 * their defaults. These functions are inline, because only the app's own compiler knows the size; a
 * binding for another language calls the _sized ones with the size of the struct as it has it.
 */
#ifndef UDPTUN_CLIENT_H
#define UDPTUN_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <udptun/error.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(_WIN32)
#define UDPTUN_CLIENT_API __declspec(dllexport)
#else
#define UDPTUN_CLIENT_API __attribute__((visibility("default")))
#endif

typedef struct udptun_client udptun_client;

/* The version of the library that is running, "0.1.0". Static storage; any thread. */
UDPTUN_CLIENT_API const char *udptun_client_version(void);

/* The wire name of a code, "PORT_IN_USE". Static storage; any thread. */
UDPTUN_CLIENT_API const char *udptun_client_code_name(int code);

/* ---- the client ------------------------------------------------------------------------------ */

enum udptun_client_state {
    UDPTUN_CLIENT_DISCONNECTED, /* no connection; get_fd() is -1 */
    UDPTUN_CLIENT_CONNECTED,    /* a connection; get_fd() is a new descriptor */
};

#define UDPTUN_CLIENT_NO_TIMEOUT INT64_C(-1)

struct udptun_client_config {
    size_t size;
    /* The daemon's socket. NULL: $UDPTUND_SOCKET; else for root /run/udptund/control.sock; else
     * $XDG_RUNTIME_DIR/udptund/control.sock and, when that does not answer,
     * /run/udptund/control.sock. */
    const char *socket_path;
    /* How long a call waits for its reply when it says nothing else (10000);
     * UDPTUN_CLIENT_NO_TIMEOUT: for ever. */
    int64_t timeout_ms;
    /* false: a connection is made when a call needs one, and what is outstanding when it ends
     * fails. true: a connection is made at once and again whenever it is lost, subscriptions are
     * renewed, and calls of which nothing was sent yet wait for it until they time out (false). */
    bool reconnect;
    int64_t reconnect_min_ms; /* pause after the first failed attempt, doubled until a call is
                                 answered (100) */
    int64_t reconnect_max_ms; /* at most this (5000) */
    size_t max_reply_bytes;   /* a longer reply ends the connection (16 MiB) */
    void *arg;                /* handed to the two callbacks below */
    /* The connection came or went; `err` tells why it went (code UDPTUN_OK when it came). With
     * epoll and the like this is where a descriptor is registered; a lost one is closed already.
     * NULL: not told. */
    void (*state)(void *arg, udptun_client *client, enum udptun_client_state state,
                  const struct udptun_error *err);
    /* An event that a subscription brought, as JSON text. The reply to "subscribe", with the
     * snapshot in its returnValue, comes here before the events: the first (after `done`) and
     * those of renewals after a reconnection. NULL: events are dropped. */
    void (*event)(void *arg, udptun_client *client, const char *json);
};

UDPTUN_CLIENT_API void udptun_client_config_init_sized(struct udptun_client_config *config,
                                                       size_t size);

/* Sets `size` and every default. */
static inline void udptun_client_config_init(struct udptun_client_config *config)
{
    udptun_client_config_init_sized(config, sizeof *config);
}

/* A new client; `config` NULL means all defaults. Nothing is connected yet. NULL and `err`:
 * UDPTUN_E_INVALID (`size` of no known version, a negative time, a path too long),
 * UDPTUN_E_NOMEM. */
UDPTUN_CLIENT_API udptun_client *udptun_client_new(const struct udptun_client_config *config,
                                                   struct udptun_error *err);

/* Close the connection and fire the callback of every outstanding call with UDPTUN_E_CANCELLED.
 * Calls made in those callbacks are refused. NULL is ignored. */
UDPTUN_CLIENT_API void udptun_client_free(udptun_client *client);

/* The socket that the client is connected to, or would try first. Valid until the next call on
 * this client. */
UDPTUN_CLIENT_API const char *udptun_client_get_socket_path(const udptun_client *client);

/* ---- in a loop of the app's own ----------------------------------------------------------------
 */

#define UDPTUN_CLIENT_READ  1u
#define UDPTUN_CLIENT_WRITE 2u

/* The descriptor to poll, or -1 while there is none. It changes only where callbacks may fire. */
UDPTUN_CLIENT_API int udptun_client_get_fd(const udptun_client *client);

/* Which connection the descriptor belongs to, 1 for the first: the system likes to give out the
 * same number again, and epoll has to be told. */
UDPTUN_CLIENT_API uint64_t udptun_client_get_generation(const udptun_client *client);

/* What to poll it for: UDPTUN_CLIENT_READ and UDPTUN_CLIENT_WRITE, or'ed. Ask again after every
 * call into the library. */
UDPTUN_CLIENT_API unsigned udptun_client_get_events(const udptun_client *client);

/* In how many milliseconds udptun_client_process() is due though the descriptor is silent: 0 at
 * once, -1 never. Ask again after every call into the library. */
UDPTUN_CLIENT_API int64_t udptun_client_get_timeout_ms(const udptun_client *client);

/*
 * Do what is due: connect, read, write, time out. Call it when the descriptor is ready or the
 * timeout is over; to call it too often is harmless, and in a callback it does nothing. Returns 0;
 * UDPTUN_E_CANCELLED when the client was freed in a callback (the handle is gone); else the code
 * why there is no connection. A lost connection is told to callbacks as well, so the value may be
 * ignored where nothing frees the client in a callback.
 */
UDPTUN_CLIENT_API int udptun_client_process(udptun_client *client);

/* ---- calls -------------------------------------------------------------------------------------
 */

struct udptun_client_request {
    size_t size;
    const char *action;     /* "getStatus"; required */
    const char *parameters; /* text of a JSON object, or NULL for none */
    int64_t timeout_ms;     /* 0: that of the client; UDPTUN_CLIENT_NO_TIMEOUT: for ever */
    const int *fds;         /* descriptors to pass along ("fd:N"); duplicated, still the caller's */
    size_t fd_count;        /* at most UDPTUN_CLIENT_MAX_FDS */
};

#define UDPTUN_CLIENT_MAX_FDS 8

UDPTUN_CLIENT_API void udptun_client_request_init_sized(struct udptun_client_request *request,
                                                        const char *action, size_t size);

/* Sets `size`, the action, and nothing else. */
static inline void udptun_client_request_init(struct udptun_client_request *request,
                                              const char *action)
{
    udptun_client_request_init_sized(request, action, sizeof *request);
}

struct udptun_client_reply {
    /* code UDPTUN_OK: the action was done. Else what the daemon said, or, with `json` NULL, what
     * went wrong on the way: UDPTUN_E_UNREACHABLE (no daemon, or it went away), UDPTUN_E_TIMEOUT,
     * UDPTUN_E_CANCELLED, UDPTUN_E_PERMISSION (the socket may not be opened),
     * UDPTUN_E_BAD_REQUEST (what came is no reply), UDPTUN_E_NOMEM. */
    struct udptun_error error;
    const char *json;  /* the whole reply, NULL when none came */
    const char *value; /* its returnValue as JSON text, NULL when there is none */
};

typedef void (*udptun_client_reply_fn)(void *arg, udptun_client *client,
                                       const struct udptun_client_reply *reply);

/*
 * Queue a call. 0: `done` (may be NULL) is called exactly once, later, whatever happens; `*id`
 * (may be NULL) names the call for udptun_client_cancel(). Else the call is not accepted and
 * `done` is never called: UDPTUN_E_INVALID (no action, parameters that are no JSON object, too
 * many descriptors), UDPTUN_E_LIMIT (over 1 MiB, or no descriptor free), UDPTUN_E_CANCELLED
 * (the client is being freed), UDPTUN_E_NOMEM.
 */
UDPTUN_CLIENT_API int udptun_client_call(udptun_client *client,
                                         const struct udptun_client_request *request,
                                         udptun_client_reply_fn done, void *arg, uint64_t *id,
                                         struct udptun_error *err);

/* Give up a call: its callback fires with UDPTUN_E_CANCELLED before this returns. The daemon may
 * have done it all the same; a `wait` is withdrawn there, so that it takes no place of the
 * connection's. UDPTUN_E_NOT_FOUND: it was answered already, or never was. */
UDPTUN_CLIENT_API int udptun_client_cancel(udptun_client *client, uint64_t id);

/*
 * Call "subscribe" for `topics`, comma-separated ("state,config"), and keep the subscription over
 * reconnections; events come to the `event` callback of the config. A later subscribe replaces
 * what is renewed. Returns and calls `done` as udptun_client_call() does. A daemon that refuses
 * the renewal counts as a lost connection.
 */
UDPTUN_CLIENT_API int udptun_client_subscribe(udptun_client *client, const char *topics,
                                              bool snapshot, udptun_client_reply_fn done, void *arg,
                                              uint64_t *id, struct udptun_error *err);

/* Call "unsubscribe" for all topics and renew nothing from now on. Returns and calls `done` as
 * udptun_client_call() does. */
UDPTUN_CLIENT_API int udptun_client_unsubscribe(udptun_client *client, udptun_client_reply_fn done,
                                                void *arg, uint64_t *id, struct udptun_error *err);

/* ---- synchronous -------------------------------------------------------------------------------
 */

/*
 * Make a call and wait for its reply. Returns the code of the reply's error (0: done) and fills
 * `err` as struct udptun_client_reply tells. `*reply`, if `reply` is not NULL, becomes the whole
 * reply as JSON text, or NULL when none came. UDPTUN_E_CONFLICT inside a callback.
 */
UDPTUN_CLIENT_API int udptun_client_call_wait(udptun_client *client,
                                              const struct udptun_client_request *request,
                                              char **reply, struct udptun_error *err);

/* Let the connection work for up to `timeout_ms` (-1: until something was done): for a program
 * without a loop that waits for events. 0, or as udptun_client_process(). */
UDPTUN_CLIENT_API int udptun_client_wait(udptun_client *client, int64_t timeout_ms);

/* Free what a `char **` of this library gave out. NULL is ignored. */
UDPTUN_CLIENT_API void udptun_client_free_text(char *text);

/* ---- a function for each action ----------------------------------------------------------------
 *
 * All wait as udptun_client_call_wait() does, with the client's timeout, and return its codes. What
 * they give out is the reply's returnValue as JSON text, which <udptun/client_value.h> reads, and
 * udptun_client_free_text() frees; NULL after a failure. `err` and `changed` may be NULL.
 * docs/command-socket.md says what each action does, who may do it, and what it answers.
 * For udptun_client_subscribe() and udptun_client_unsubscribe() see above.
 */

/* hello: who answers and what it can do. `role`: "observer", "operator" or "admin", to step down
 * to; NULL: stay. */
UDPTUN_CLIENT_API int udptun_client_hello(udptun_client *client, const char *role, char **hello,
                                          struct udptun_error *err);

/* configureUdpTunnel. `tunnel`: the tunnel object as JSON text. `merge`: change only the fields
 * given. `wait_s`: 0, or hold the answer so many seconds until it is established. */
UDPTUN_CLIENT_API int udptun_client_configure_tunnel(udptun_client *client, const char *tunnel,
                                                     bool merge, int wait_s, bool *changed,
                                                     struct udptun_error *err);

/* removeUdpTunnel. An absent name is no error: `*changed` is false. */
UDPTUN_CLIENT_API int udptun_client_remove_tunnel(udptun_client *client, const char *name,
                                                  bool *changed, struct udptun_error *err);

/* configureTun2socks, as udptun_client_configure_tunnel(). An instance whose device is a descriptor
 * of this process goes by udptun_client_call(), with `fds`. */
UDPTUN_CLIENT_API int udptun_client_configure_tun2socks(udptun_client *client, const char *instance,
                                                        bool merge, int wait_s, bool *changed,
                                                        struct udptun_error *err);

/* removeTun2socks. An absent name is no error: `*changed` is false. */
UDPTUN_CLIENT_API int udptun_client_remove_tun2socks(udptun_client *client, const char *name,
                                                     bool *changed, struct udptun_error *err);

/* getStatus of one object, or of all when `name` is NULL. */
UDPTUN_CLIENT_API int udptun_client_get_status(udptun_client *client, const char *name,
                                               char **status, struct udptun_error *err);

/* listSessions of a tunnel. */
UDPTUN_CLIENT_API int udptun_client_list_sessions(udptun_client *client, const char *name,
                                                  char **sessions, struct udptun_error *err);

/* closeSession: end a session of a udp-server, by the id that listSessions tells. */
UDPTUN_CLIENT_API int udptun_client_close_session(udptun_client *client, const char *name,
                                                  const char *session, struct udptun_error *err);

/* listFlows: up to `limit` (0: the daemon's own) flows of a tunnel behind the cursor `after` (NULL:
 * from the start). */
UDPTUN_CLIENT_API int udptun_client_list_flows(udptun_client *client, const char *name,
                                               const char *after, unsigned limit, char **flows,
                                               struct udptun_error *err);

/* pingTunnel: up to `count` round trips through the tunnel's own connections into `rtt_ms`
 * (room for `count`); `*answered` is how many came back. */
UDPTUN_CLIENT_API int udptun_client_ping(udptun_client *client, const char *name, int count,
                                         double *rtt_ms, int *answered, struct udptun_error *err);

/* exportConfig: all objects as they are configured, secrets redacted unless `show_secrets`. */
UDPTUN_CLIENT_API int udptun_client_export_config(udptun_client *client, bool show_secrets,
                                                  char **config, struct udptun_error *err);

/* applyConfig: all objects of `config`, JSON text, all or none. `prune`: end those that it does not
 * name. `dry_run`: only tell in `*done` what would be done. */
UDPTUN_CLIENT_API int udptun_client_apply_config(udptun_client *client, const char *config,
                                                 bool prune, bool dry_run, char **done,
                                                 struct udptun_error *err);

/* getMetrics: OpenMetrics text. */
UDPTUN_CLIENT_API int udptun_client_get_metrics(udptun_client *client, char **metrics,
                                                struct udptun_error *err);

/* setLogLevel: "error", "warn", "info" or "debug", of one module or of everything (NULL). */
UDPTUN_CLIENT_API int udptun_client_set_log_level(udptun_client *client, const char *level,
                                                  const char *module, struct udptun_error *err);

/* reloadConfig: read the config file again. */
UDPTUN_CLIENT_API int udptun_client_reload_config(udptun_client *client, struct udptun_error *err);

/* shutdown: stop the daemon. */
UDPTUN_CLIENT_API int udptun_client_shutdown(udptun_client *client, struct udptun_error *err);

#ifdef __cplusplus
}
#endif

#endif
