/* SPDX-License-Identifier: Apache-2.0 */
/*
 * machine.h - UDPT/1 as a machine without I/O: one udp-local or one udp-server.
 *
 * For a program with a network library of its own. <udptun/engine.h> has sockets, names, proxies,
 * policies and everything else that a tunnel needs; here is the session alone, and the program
 * is the host. It is part of libudptun (pkg-config udptun); docs/examples/own-io.c is a host in
 * a page.
 *
 * What goes in: bytes of streams, datagrams, the time, random bytes. What comes out, through
 * `struct udptun_machine_ops` and the pull functions below: bytes for streams, datagrams, streams
 * wanted or given up, and the next deadline. It names no socket, clock, thread or event loop; the
 * same history of inputs gives the same history of outputs.
 *
 *     host                                   machine
 *     ----                                   -------
 *     datagram from an app     udptun_binding_send ─▶  binding queue ─▶ a leg's output buffer
 *     udptun_machine_next_ready, udptun_conn_output  ◀─  frames to write
 *     bytes of a stream  udptun_conn_input ─▶  frames parsed in place
 *     ops.datagram                       ◀─  one call for each datagram
 *     udptun_machine_tick at udptun_machine_deadline         ─▶  heartbeats, timeouts, dialling
 * again
 *
 * Objects. A *machine* has *sessions* (a local exactly one; it is made again, with the same
 * handle, when the server lost it). A session has *legs*: numbered slots, 0 the control leg, each
 * carried by at most one *conn*, a byte stream of the host's. A *binding* is one local source and
 * its UDP sockets at the server; the host keeps what it needs behind it, in udptun_binding_host().
 *
 * Lifetimes. A conn lives from ops.dial or udptun_machine_accept() until ops.hangup has returned;
 * that is called exactly once for each, never inside udptun_conn_output() or udptun_conn_sent(),
 * but maybe inside any other call here, udptun_conn_input() of the same conn included. A binding
 * lives until ops.binding_closed has returned. Callbacks may call udptun_binding_send(),
 * udptun_binding_error(), udptun_binding_external() and the functions that only look; nothing else.
 *
 * Time is in microseconds of a clock that never goes back; every function that can act takes
 * the present time. The machine is used on one thread at a time; different machines are
 * independent, and there is no other state.
 *
 * Errors are codes of <udptun/error.h>. Versions: the structs here have no `size`; they stay as
 * they are within a SONAME of the library.
 */
#ifndef UDPTUN_MACHINE_H
#define UDPTUN_MACHINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <udptun/endpoint.h>
#include <udptun/error.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#pragma GCC visibility push(default)
#endif

#define UDPTUN_MACHINE_KEY_SIZE        32
#define UDPTUN_MACHINE_SESSION_ID_SIZE 16
#define UDPTUN_MACHINE_MAX_LEGS        33    /* control and 32 data legs */
#define UDPTUN_MACHINE_MAX_PAYLOAD_IP4 65507 /* 65535 - 20 - 8 */
#define UDPTUN_MACHINE_MAX_PAYLOAD_IP6                                                             \
    65527 /* 65535 - 8, RFC 8200 section 3: the header does not count */
#define UDPTUN_MACHINE_NEVER UINT64_MAX

struct budget;
struct udptun_machine;
struct udptun_session;
struct udptun_conn;
struct udptun_binding;

enum udptun_machine_role { UDPTUN_MACHINE_LOCAL = 1, UDPTUN_MACHINE_SERVER };

/* Where a datagram goes to (towards the server) or truly came from (towards the local). */
struct udptun_dest {
    struct udptun_endpoint ep;
    const char *name; /* with UDPTUN_ENDPOINT_NAME: the host name, not NUL-terminated; else NULL */
    size_t name_len;  /* 1 to 255 then */
    /* Towards the server: rather tell UDPTUN_MACHINE_TOO_BIG than send it in fragments. Without a
     * server that knows this it is sent as any other. */
    bool dont_fragment;
};

/* A destination of a host name that the server resolves. */
struct udptun_dest udptun_dest_of_name(const char *name, size_t name_len, uint16_t port);
struct udptun_dest udptun_dest_of(const struct udptun_endpoint *ep);

/* Why a datagram could not be delivered; on the wire in ERROR frames. */
enum udptun_machine_error {
    UDPTUN_MACHINE_PORT_UNREACHABLE = 1,
    UDPTUN_MACHINE_HOST_UNREACHABLE = 2,
    UDPTUN_MACHINE_TOO_BIG = 3, /* `value` is the largest IP packet that passes, 0 when not known */
    UDPTUN_MACHINE_POLICY = 4,
    UDPTUN_MACHINE_LIMIT = 5,
};

enum udptun_close_reason {
    UDPTUN_CLOSE_IDLE = 1,    /* no datagram for the flow timeout */
    UDPTUN_CLOSE_EVICTED = 2, /* the least recently used, when a cap was reached */
    UDPTUN_CLOSE_PEER = 3,    /* the other end closed it */
    UDPTUN_CLOSE_SESSION = 4, /* its session ended */
    UDPTUN_CLOSE_LIMIT = 5,   /* the server could not open it */
    UDPTUN_CLOSE_HOST = 6,    /* udptun_binding_close() */
};

enum udptun_machine_state {
    UDPTUN_MACHINE_CONNECTING,   /* local: no session yet */
    UDPTUN_MACHINE_ESTABLISHED,  /* control and at least one data leg are up */
    UDPTUN_MACHINE_DEGRADED,     /* some of the legs wanted are missing */
    UDPTUN_MACHINE_RECONNECTING, /* local: all legs lost */
    UDPTUN_MACHINE_DETACHED,     /* server: a session without legs, kept for its resume timeout */
    UDPTUN_MACHINE_CLOSED,       /* server: the session is gone; the handle is freed on return */
};

enum udptun_machine_log {
    UDPTUN_MACHINE_LOG_ERROR,
    UDPTUN_MACHINE_LOG_WARN,
    UDPTUN_MACHINE_LOG_INFO,
    UDPTUN_MACHINE_LOG_DEBUG
};

/* What a local has to keep to go on with its session after a restart. The secret is one. */
struct udptun_session_identity {
    uint8_t session[UDPTUN_MACHINE_SESSION_ID_SIZE];
    uint8_t secret[32];
    uint64_t epoch, incarnation;
    /* Above that of every start before; milliseconds since 1970 will do. */
    uint64_t client_incarnation;
};

struct udptun_machine_config {
    enum udptun_machine_role role;
    bool has_key;
    uint8_t key[UDPTUN_MACHINE_KEY_SIZE];
    unsigned connections;  /* local: most data legs, 1 to 32 */
    uint32_t heartbeat_ms; /* local; the server takes the client's */
    uint32_t dead_ms;      /* local; likewise */
    uint32_t resume_ms;    /* server */
    uint32_t flow_timeout_ms;
    uint32_t dns_timeout_ms; /* of a binding that saw one datagram out and one back at most */
    uint32_t handshake_ms;   /* a conn whose handshake takes longer is hung up */
    uint32_t max_pending;    /* server: most conns in handshake */
    uint32_t max_sessions;   /* server */
    uint32_t max_flows;      /* of the machine */
    uint32_t max_flows_per_session;
    uint32_t max_queue_delay_ms;
    uint32_t max_queue_bytes; /* of one binding */
    unsigned redundancy;      /* local: copies of a datagram on different legs, 1 to 3 */
    uint32_t redundancy_max_size;
    const struct udptun_session_identity *identity; /* local: a session to go on with, or NULL; only
                                             read by udptun_machine_new() */
    size_t binding_host_size; /* bytes of the host's own behind each binding, zeroed */
    uint8_t min_version;      /* the lowest version of the protocol that is accepted, 1 or 2 (1) */
    /* Most bytes that output, queues and unfinished frames of all sessions together may take; 0: no
     * limit. No session takes more than is free, so one that does not read leaves room for others;
     * 128 KiB each may have in any case. */
    uint64_t max_buffer_bytes;
    struct budget *budget; /* the same, shared with others on this thread (proto/budget.h); only
                            * read by udptun_machine_new(). NULL: a budget of its own */
};

/* Defaults of the contract. */
void udptun_machine_config_init(struct udptun_machine_config *config,
                                enum udptun_machine_role role);

/* Why ops.hangup comes for a stream that ops.dial asked for and that did not come to be in time.
 * The host may know more. */
#define UDPTUN_MACHINE_REASON_NOT_OPENED "the connection could not be opened in time"

/* The host's part. None may be NULL but where it says so. `arg` is the machine's. */
struct udptun_machine_ops {
    /* Fill with unpredictable bytes. */
    void (*random)(void *arg, void *to, size_t size);
    /* local: open a stream to the server for `conn`, then udptun_conn_opened() or, when it cannot
     * be, udptun_conn_lost(); neither from within this call. NULL in a server. */
    void (*dial)(void *arg, struct udptun_conn *conn);
    /* Close the stream and forget `conn`, which is freed on return. `reason` says why. */
    void (*hangup)(void *arg, struct udptun_conn *conn, const char *reason);
    /* A datagram: at a server to send to `peer`, at a local for the source, from `peer`. `data`
     * is valid until the udptun_conn_input() that led here returns, not only until this does, so
     * a host may gather a batch and send it then. */
    void (*datagram)(void *arg, struct udptun_binding *b, const struct udptun_dest *peer,
                     const uint8_t *data, size_t size);
    /* server: a binding came to be, before its first datagram. `want4`, `want6`: the external
     * ports that it asks to have again, 0 for any. Sockets are opened when the first datagram of
     * a family goes out. Not 0: refused, the limit is told to the client, and binding_closed
     * follows. NULL in a local. */
    int (*binding_opened)(void *arg, struct udptun_binding *b, uint16_t want4, uint16_t want6);
    /* The binding is freed on return. Called for each, also from udptun_machine_free(). */
    void (*binding_closed)(void *arg, struct udptun_binding *b, enum udptun_close_reason reason);
    /* local: the server could not deliver a datagram of `b` to `peer`. */
    void (*error)(void *arg, struct udptun_binding *b, const struct udptun_dest *peer,
                  enum udptun_machine_error code, uint32_t value);
    /* A session changed its state. `reason` is "" or a clause. */
    void (*state)(void *arg, struct udptun_session *s, enum udptun_machine_state state,
                  const char *reason);
    /* local: the answer to udptun_machine_ping(). */
    void (*pong)(void *arg, uint64_t token, uint64_t rtt_us);
    /* One line for the log. */
    void (*log)(void *arg, enum udptun_machine_log level, const char *text);
};

/* ---- the machine --------------------------------------------------------------------------- */

/* NULL: out of memory. A local dials at the first udptun_machine_tick(). `ops` must outlive it. */
struct udptun_machine *udptun_machine_new(const struct udptun_machine_config *config,
                                          const struct udptun_machine_ops *ops, void *arg,
                                          uint64_t now_us);

enum udptun_machine_stop_kind {
    UDPTUN_MACHINE_STOP_END,  /* the sessions are over: the far ends let their flows go */
    UDPTUN_MACHINE_STOP_KEEP, /* this end will be back: a server keeps session and flows for its
                               * resume timeout, a local comes again and asks for the same external
                               * ports */
};

/* Puts a goodbye into the output of one leg of each session, as far as there is room; the host
 * flushes once more and then frees. No datagram passes from here on. */
void udptun_machine_stop(struct udptun_machine *m, enum udptun_machine_stop_kind how,
                         uint64_t now_us);

/* Hangs up every conn and closes every binding (callbacks run), then frees. NULL is accepted. */
void udptun_machine_free(struct udptun_machine *m);

/* Take over what may change while running: connections, timers, caps, redundancy. The role, the
 * key and binding_host_size must be the same. Bindings beyond a lower cap are evicted. */
void udptun_machine_configure(struct udptun_machine *m, const struct udptun_machine_config *config,
                              uint64_t now_us);

/* When udptun_machine_tick() is wanted at the latest; UDPTUN_MACHINE_NEVER: not at all. Ask after
 * every batch of calls. */
uint64_t udptun_machine_deadline(const struct udptun_machine *m);
void udptun_machine_tick(struct udptun_machine *m, uint64_t now_us);

/* local: the session as it stands. False: the server has none yet. */
bool udptun_machine_identity(const struct udptun_machine *m,
                             struct udptun_session_identity *identity);

/* local: the network came back, or changed: dial at once instead of waiting out the backoff. */
void udptun_machine_network_changed(struct udptun_machine *m, uint64_t now_us);

/* local: ping the far end; ops.pong follows with the token. UDPTUN_E_UNREACHABLE when no leg is
 * up. */
int udptun_machine_ping(struct udptun_machine *m, uint64_t token, uint64_t now_us);

/* ---- streams ------------------------------------------------------------------------------- */

/* server: a stream came in. `peer` is for status and logs (copied, cut at 63 characters). Of more
 * than max_pending handshakes the oldest is ended. NULL: the machine is stopping or memory is
 * short, and the host closes the stream. */
struct udptun_conn *udptun_machine_accept(struct udptun_machine *m, const char *peer,
                                          uint64_t now_us);

/* local: the stream that ops.dial asked for is open. */
void udptun_conn_opened(struct udptun_conn *c, uint64_t now_us);

/* The stream has ended or could not be opened; ops.hangup follows inside. `reason` is for status
 * and logs (copied): why, "" when the peer ended it in order. */
void udptun_conn_lost(struct udptun_conn *c, const char *reason, uint64_t now_us);

/* Bytes of the stream, as many as came. The machine copies only an incomplete frame at the end.
 * ops.hangup may be called inside; then `c` is gone when this returns false. */
bool udptun_conn_input(struct udptun_conn *c, const uint8_t *data, size_t size, uint64_t now_us);

/* The next conn that has output and was not handed out since its output was last empty or
 * blocked, or NULL. The host writes what it can; the rest it writes when the stream is writable
 * again, without being told. */
struct udptun_conn *udptun_machine_next_ready(struct udptun_machine *m);

struct udptun_span {
    const uint8_t *data;
    size_t size;
};

/* What is to be written, in up to two pieces; returns their count, 0: nothing. Valid until the
 * next call into the machine. */
int udptun_conn_output(struct udptun_conn *c, struct udptun_span spans[2]);

/* That many bytes of it went out. More output may be there afterwards (queued datagrams move
 * up), so the host asks again while the stream takes bytes. */
void udptun_conn_sent(struct udptun_conn *c, size_t size, uint64_t now_us);

/* A pointer of the host's own. */
void udptun_conn_set_host(struct udptun_conn *c, void *host);
void *udptun_conn_host(const struct udptun_conn *c);

/* ---- bindings and datagrams ------------------------------------------------------------------ */

/* local: a binding for a new source. `label` names the source across restarts of this end (a
 * keyed hash of it). NULL and `*code` (UDPTUN_E_LIMIT never: the least recently used is evicted,
 * ops.binding_closed is called for it; UDPTUN_E_NOMEM). */
struct udptun_binding *udptun_binding_open(struct udptun_machine *m, uint64_t label,
                                           uint64_t now_us, int *code);
void udptun_binding_close(struct udptun_binding *b, uint64_t now_us);

/* local: the port of the source, which the server may take for the external port (RFC 4787 REQ-4).
 * To be set before its first datagram is sent. server: what the client said, 0 where it said none.
 */
void udptun_binding_set_source_port(struct udptun_binding *b, uint16_t port);
uint16_t udptun_binding_source_port(const struct udptun_binding *b);

/* The host's bytes behind the binding, binding_host_size of them. */
void *udptun_binding_host(struct udptun_binding *b);

/* server: a socket of the binding is open with this external address. */
void udptun_binding_external(struct udptun_binding *b, const struct udptun_endpoint *external,
                             uint64_t now_us);

/* server: tell the client that a datagram to `peer` could not be delivered, and count it. */
void udptun_binding_error(struct udptun_binding *b, const struct udptun_dest *peer,
                          enum udptun_machine_error code, uint32_t value, uint64_t now_us);
/* The same for a datagram that was sent nevertheless: nothing is counted. */
void udptun_binding_warn(struct udptun_binding *b, const struct udptun_dest *peer,
                         enum udptun_machine_error code, uint32_t value, uint64_t now_us);

/*
 * Send a datagram of `b`: local, to `peer`; server, truly from `peer`. It is copied. 0, or it was
 * dropped and counted: UDPTUN_E_LIMIT (queue full), UDPTUN_E_INVALID (too large, or no address),
 * UDPTUN_E_NOMEM.
 */
int udptun_binding_send(struct udptun_binding *b, const struct udptun_dest *peer,
                        const uint8_t *data, size_t size, uint64_t now_us);

/* Count a drop that the host decided (a policy, a full socket). */
enum udptun_machine_drop {
    UDPTUN_MACHINE_DROP_STALE,
    UDPTUN_MACHINE_DROP_QUEUE,
    UDPTUN_MACHINE_DROP_OVERSIZE,
    UDPTUN_MACHINE_DROP_POLICY,
    UDPTUN_MACHINE_DROP_NO_FLOW,
    UDPTUN_MACHINE_DROP_ERROR, /* it could not be sent on: a system refused, or there is no way */
    UDPTUN_MACHINE_DROP_CAUSES,
};
/* End the binding that was used least recently, of a session with the most, if it has been idle for
 * `idle_us`: for a host that has no socket for another. False: none has been. Not from within a
 * callback. */
bool udptun_machine_make_room(struct udptun_machine *m, uint64_t idle_us, uint64_t now_us);

void udptun_machine_count_drop(struct udptun_machine *m, struct udptun_binding *b,
                               enum udptun_machine_drop cause);

/* ---- looking -----------------------------------------------------------------------------------
 */

struct udptun_machine_counters {
    uint64_t tx_packets, rx_packets; /* tx is towards the far end of the tunnel */
    uint64_t tx_bytes, rx_bytes;     /* of payload */
    uint64_t dropped[UDPTUN_MACHINE_DROP_CAUSES];
};

struct udptun_machine_info {
    enum udptun_machine_state state; /* of a local's session */
    uint64_t sessions, flows, reconnects, resumed, pending;
    uint64_t refused; /* local: attempts that failed while other streams were up */
    int64_t rtt_us;   /* local: of the best leg, -1: not measured */
    struct udptun_machine_counters counters;
    char cap[128]; /* a limit that was reached in the last minute, and what comes of it; "": none */
};

struct udptun_leg_info {
    bool control;
    enum udptun_leg_state { UDPTUN_LEG_DIALLING, UDPTUN_LEG_HANDSHAKE, UDPTUN_LEG_UP } state;
    int64_t rtt_us;    /* -1: not measured */
    uint64_t queue_us; /* age of the oldest unacknowledged byte */
    uint64_t tx_bytes, rx_bytes;
};

struct udptun_session_info {
    uint8_t id[UDPTUN_MACHINE_SESSION_ID_SIZE];
    enum udptun_machine_state state;
    const char *peer; /* of the newest conn; valid as long as the session */
    uint64_t flows, tx_bytes, rx_bytes, age_us;
    size_t leg_count;
    struct udptun_leg_info legs[UDPTUN_MACHINE_MAX_LEGS];
};

struct udptun_binding_info {
    uint64_t id; /* unique and never reused within its session */
    const struct udptun_session *session;
    struct udptun_endpoint external4, external6; /* family NONE: not open or not known */
    uint64_t peers;
    bool bulk; /* not a sparse flow: it stays on one leg, in order */
    uint64_t idle_us, age_us;
    struct udptun_machine_counters counters;
};

void udptun_machine_look(const struct udptun_machine *m, uint64_t now_us,
                         struct udptun_machine_info *info);

/* Sessions in order of creation: the one after `s`, or the first for NULL. */
struct udptun_session *udptun_session_next(const struct udptun_machine *m,
                                           const struct udptun_session *s);
void udptun_session_look(const struct udptun_session *s, uint64_t now_us,
                         struct udptun_session_info *info);

/* Bindings of a session in ascending order of id: the first with an id above `after`. */
struct udptun_binding *udptun_binding_after(const struct udptun_session *s, uint64_t after);
void udptun_binding_look(const struct udptun_binding *b, uint64_t now_us,
                         struct udptun_binding_info *info);
struct udptun_session *udptun_binding_session(const struct udptun_binding *b);

/* server: end a session; its client is told. */
void udptun_session_close(struct udptun_session *s, uint64_t now_us);

#if defined(__GNUC__)
#pragma GCC visibility pop
#endif

#ifdef __cplusplus
}
#endif

#endif
