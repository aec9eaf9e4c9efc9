/* SPDX-License-Identifier: Apache-2.0 */
/*
 * engine.h - libudptun: UDP inside any TCP-like stream, in the caller's process.
 *
 * An *engine* runs any number of *tunnels*, each a udp-local or a udp-server, on one event loop:
 * the caller's, or one on a thread of the library's own. It starts no process, installs no signal
 * handler, never exits, and keeps no writable state outside its handles: any number of engines
 * live in one process.
 *
 * A program with neither libev nor a thread to spare has the bare session in <udptun/machine.h>,
 * and does the input and output itself.
 *
 * Threads. With the caller's loop, every function is called on the thread that runs that loop.
 * With a thread of the library's own, every function may be called from any thread and returns
 * when the engine has done it; callbacks run on the engine's thread and may call any function
 * but udptun_engine_free().
 * The callbacks `log` and `protect` are the exception: they may be called in the middle of
 * anything and call no function of the library.
 *
 * Ownership. Strings and structs passed in are copied before a function returns. Strings handed
 * to a callback are valid until it returns.
 *
 * Versions. Each config struct begins with its `size`, set by its _init function, so that an app
 * built against an older header runs with a newer library: fields it does not know keep their
 * defaults. Fields are only ever added, at the end. The _init functions are inline, because only
 * the app's own compiler knows the size; a binding for another language calls the _sized ones with
 * the size of the struct as it has it. A struct that the library fills (udptun_tunnel_status and
 * the like) stays as it is within a SONAME.
 *
 * Units are in the names: _ms, _us, _s, _bytes.
 */
#ifndef UDPTUN_ENGINE_H
#define UDPTUN_ENGINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <udptun/error.h>
#include <udptun/loop.h>
#include <udptun/status.h>
#include <udptun/tun2socks.h>
#include <udptun/types.h>

#ifdef __cplusplus
extern "C" {
#endif

struct ev_loop;

/* The version of the library that is running, "0.1.0". Static storage. */
UDPTUN_API const char *udptun_version(void);

/* The wire name of a code, "PORT_IN_USE". Static storage; any thread. */
UDPTUN_API const char *udptun_code_name(int code);

/* ---- the engine ---------------------------------------------------------------------------- */

struct udptun_engine_config {
    size_t size;
    struct ev_loop *loop; /* the caller's libev loop, or NULL: a thread of the library's own */
    void *arg;            /* handed to the callbacks below */
    /* One line, no newline, no secret in it. NULL: nothing is logged. `module` is "local",
     * "server", "dialer", "socks5", "policy", ... */
    void (*log)(void *arg, enum udptun_log_level level, const char *module, const char *text);
    /* Called with each socket that will send to the network, before it does (Android's
     * VpnService.protect). Not 0: the socket is closed, the attempt fails. NULL: none. */
    int (*protect)(void *arg, udptun_socket socket);
    /* The caller's loop of any other kind (<udptun/loop.h>), copied; then `loop` is not looked at.
     * NULL: as `loop` says. */
    const struct udptun_loop *loop_table;
    /* Most bytes that all flows of all objects together may hold in stream buffers, and tunnels in
     * output, queues and unfinished frames; 1 MiB at least (UDPTUN_DEFAULT: a quarter of the memory
     * of the machine, or of the cgroup, 256 MiB at most). Beyond it senders wait, and a tunnel's
     * session that holds more than is free drops datagrams. 128 KiB a session may hold in any
     * case. */
    int64_t max_buffer_bytes;
    /* The host's network changed: an address or an interface that was missing may be there now.
     * Called where the system tells of it (Linux). NULL: none. */
    void (*network_changed)(void *arg);
};

UDPTUN_API void udptun_engine_config_init_sized(struct udptun_engine_config *config, size_t size);

/* Sets `size` and the defaults (own thread, no callbacks). */
static inline void udptun_engine_config_init(struct udptun_engine_config *config)
{
    udptun_engine_config_init_sized(config, sizeof *config);
}

/* A new engine, or NULL and `err` (may be NULL): UDPTUN_E_NOMEM, UDPTUN_E_SYSTEM (cannot create a
 * loop or a thread), UDPTUN_E_INVALID (`size` is not that of a known version). */
UDPTUN_API udptun_engine *udptun_engine_new(const struct udptun_engine_config *config,
                                            struct udptun_error *err);

/* Ends every tunnel (peers are told, see keep_session) and the engine. Callbacks of closing
 * tunnels still run before it returns, none after. With the caller's loop the loop stays the
 * caller's. NULL is accepted. Never from a callback. */
UDPTUN_API void udptun_engine_free(udptun_engine *engine);

/* ---- a loop of the caller's own kind -------------------------------------------------------- */

/* What the loop of `loop_table` tells the engine, on its thread; see <udptun/loop.h>. A socket that
 * the engine watches by `token` is ready for `events` (UDPTUN_LOOP_READ, UDPTUN_LOOP_WRITE). */
UDPTUN_API void udptun_engine_ready(udptun_engine *engine, void *token, unsigned events);

/* The timer has run out. */
UDPTUN_API void udptun_engine_due(udptun_engine *engine);

/* The end of a batch of the two above: send what came of it. */
UDPTUN_API void udptun_engine_turn(udptun_engine *engine);

/* ---- tunnels ------------------------------------------------------------------------------- */

/* What a tunnel listens on, told by `ready`. */
struct udptun_bound {
    const char *url;                      /* "udp://127.0.0.1:5353", with the real port */
    int fd;                               /* the listening descriptor, the engine's; -1: none */
    const struct udptun_address *address; /* family 0 for a Unix socket */
};

/* All may be NULL. `arg` is that of the struct; `name` is the tunnel's. */
struct udptun_callbacks {
    size_t size;
    void *arg;
    /* The local resources stand; called before udptun_configure() returns. `bounds` may be
     * empty (a local without `listen`). Called again when a reconfiguration moved them. */
    void (*ready)(void *arg, const char *name, const struct udptun_bound *bounds, size_t count);
    /* Every change of state; `reason` is "" or why ("server 192.0.2.1:443: connection refused").
     * After UDPTUN_DISABLED by removal nothing more is called for that tunnel. */
    void (*state)(void *arg, const char *name, enum udptun_state state, const char *reason);
    /* local: a datagram for `source`, a source that the app gave to udptun_send(); `peer` is who
     * sent it. Datagrams of the tunnel's own listeners do not come here. */
    void (*datagram)(void *arg, const char *name, const struct udptun_address *source,
                     const struct udptun_address *peer, const void *data, size_t size);
    /* local: a stream to the server is wanted and the app supplies it (`server` is "app:"). The
     * app returns 0, now or later calls udptun_stream_opened(), and from then on carries bytes;
     * or it returns a negative code: the attempt failed. `*stream_arg` is the app's, handed to
     * the three callbacks below. */
    int (*stream_open)(void *arg, const char *name, udptun_stream *stream, void **stream_arg);
    /* Take up to `size` bytes towards the peer; returns how many were taken, 0 for "not now"
     * (udptun_stream_writable() says when again), or a negative code: the stream is broken. */
    long (*stream_write)(void *arg, void *stream_arg, const void *data, size_t size);
    /* The engine is done with the stream and forgets it; the app closes it. Also called after
     * udptun_stream_closed(), so it is the one place to free. */
    void (*stream_close)(void *arg, void *stream_arg);
    /* local: a datagram of udptun_send_unfragmented() was too big on its way to `peer`. `mtu` is
     * the largest IP packet that passes, 0: not known. */
    void (*too_big)(void *arg, const char *name, const struct udptun_address *source,
                    const struct udptun_address *peer, uint32_t mtu);
    /* NULL. Room for callbacks to come: this struct is part of another and keeps its size. */
    void (*reserved[7])(void);
};

/*
 * A tunnel. Field by field what the command socket takes (docs/command-socket.md);
 * a string that is NULL is absent, a number that is UDPTUN_DEFAULT takes the
 * default named here.
 */
struct udptun_tunnel_config {
    size_t size;
    const char *name;      /* 1 to 64 of A-Za-z0-9._- ; required */
    enum udptun_role role; /* required */
    const char *listen;    /* local: "udp://HOST:PORT", "socks5://[USER:PASS@]HOST:PORT" or NULL;
                              server: "HOST:PORT", "unix:PATH" or NULL (streams by
                              udptun_stream_accept() only) */
    const char *target;    /* "HOST:PORT"; local with udp://: required */
    const char *server;    /* local: "HOST:PORT", "unix:PATH" or "app:"; required */
    const char *via;       /* local: "socks5://..." or "http://..." */
    const char *tcp_proxy; /* local with socks5://: "socks5://HOST:PORT" for CONNECT */
    int connections;       /* local: most data connections, 1 to 32 (8) */
    const uint8_t *key;    /* 32 bytes, or NULL */
    const char *key_file;  /* a file with the key in base64; not together with `key` */
    bool insecure;         /* server: listening beyond loopback without a key is meant */
    const char *egress; /* server: "direct" or NULL, "tun2socks:NAME" (an instance whose device is
                           pipe) or "unix:PATH" (that of another process) */
    const char *const *allow_targets; /* server: `allow_count` of "CIDR[:PORT[-PORT]]" */
    size_t allow_count;
    bool allow_given; /* an empty allow list that is given allows nothing */
    const char *const *deny_targets;
    size_t deny_count;
    const char *filtering; /* server: "endpoint-independent" (or NULL), "address", "address-port" */
    const char *port_range;        /* server: "LOW-HIGH" */
    int64_t heartbeat_interval_s;  /* local (10), 1 to 3600 */
    int64_t dead_interval_s;       /* local (30), above heartbeat_interval_s, to 86400 */
    int64_t resume_timeout_s;      /* server (180), 0 to 86400 */
    int64_t flow_timeout_s;        /* (300), 1 to 86400 */
    int64_t max_sessions;          /* (1024), 1 to 65536 */
    int64_t max_flows;             /* (16384), 1 to 1048576 */
    int64_t max_flows_per_session; /* (16384), 1 to 1048576 */
    int64_t max_queue_delay_ms;    /* (500), 1 to 60000 */
    int64_t max_queue_bytes;       /* (1 MiB), 65536 to 1 GiB */
    int64_t redundancy;            /* local (1), 1 to 3 */
    int64_t redundancy_max_size;   /* local (400), 1 to 65507 */
    int64_t mark;                  /* SO_MARK, Linux (none), 0 to 4294967295 */
    const char *bind_device;       /* SO_BINDTODEVICE, Linux (none); like the mark it is for the
                                      network: sockets to loopback go without */
    const void *identity;          /* local: what udptun_identity() gave before a restart, or NULL:
                                      a session of its own */
    size_t identity_size;
    bool enabled; /* (true) */
    struct udptun_callbacks callbacks;
    bool keep_session;   /* (false) when the engine ends the peers are told that this end will be
                            back: a server keeps a local's session for its resume timeout, to be gone
                            on with by the config that is given its identity; locals come back to a
                            server by themselves. udptun_remove() ends sessions in any case */
    int64_t min_version; /* (1) lowest version of UDPT that is accepted, 1 or 2. From 2 on, somebody
                            who reads the connection and has the key cannot take the session over */
    bool port_preservation; /* server (false): try the port of the client's source, else its parity,
                               as the external port */
};

UDPTUN_API void udptun_tunnel_config_init_sized(struct udptun_tunnel_config *config,
                                                enum udptun_role role, size_t size);

/* Sets `size` (the callbacks' too) and every default. */
static inline void udptun_tunnel_config_init(struct udptun_tunnel_config *config,
                                             enum udptun_role role)
{
    udptun_tunnel_config_init_sized(config, role, sizeof *config);
}

/*
 * Check a config without doing anything: 0, or UDPTUN_E_INVALID / UDPTUN_E_UNSUPPORTED with
 * `field` in the command socket's spelling ("maxQueueDelayMs"). Any thread, no engine needed.
 */
UDPTUN_API int udptun_tunnel_config_check(const struct udptun_tunnel_config *config,
                                          struct udptun_error *err);

/*
 * Read 32 bytes in base64, white space around them allowed, from a file into `key`, as `key_file`
 * does: for an app that must not wait for a disk on the engine's thread. `*exposed` (may be NULL)
 * tells whether others than its owner may read the file. UDPTUN_E_INVALID or UDPTUN_E_PERMISSION
 * with `field` "keyFile". Any thread, no engine needed.
 */
UDPTUN_API int udptun_read_key(const char *path, uint8_t key[32], bool *exposed,
                               struct udptun_error *err);

/*
 * Create the tunnel of that name, or make it be as `config` says. What can change without
 * dropping flows does; else the tunnel is made again. `changed` (may be NULL) tells whether
 * anything differed. On failure what ran before runs on unchanged.
 * Codes: those of udptun_tunnel_config_check(), UDPTUN_E_PORT_IN_USE, UDPTUN_E_PERMISSION,
 * UDPTUN_E_SYSTEM, UDPTUN_E_NOMEM.
 */
UDPTUN_API int udptun_configure(udptun_engine *engine, const struct udptun_tunnel_config *config,
                                bool *changed, struct udptun_error *err);

/* End a tunnel; its peers are told. UDPTUN_E_NOT_FOUND; UDPTUN_E_CONFLICT: a tun2socks instance's
 * `udp` names it. */
UDPTUN_API int udptun_remove(udptun_engine *engine, const char *name, struct udptun_error *err);

#define UDPTUN_IDENTITY_SIZE 128

/*
 * local: what to keep, and to give back in the config after a restart, so that the server goes on
 * with the same session: its flows and their external ports stay. It changes whenever a session is
 * founded, that is, with a change to UDPTUN_ESTABLISHED. It holds a secret: whoever has it can
 * take the session over (with the key, where one is set).
 * Fills `to` (UDPTUN_IDENTITY_SIZE bytes) and `*size`. UDPTUN_E_NOT_FOUND, UDPTUN_E_INVALID (a
 * server), UDPTUN_E_UNREACHABLE (there is no session yet).
 */
UDPTUN_API int udptun_identity(udptun_engine *engine, const char *name, void *to, size_t *size);

/* ---- datagrams and streams of the app's own ------------------------------------------------- */

/*
 * local: send a datagram of `source`, any address that the app likes to tell its flows apart by;
 * replies come to callbacks.datagram with the same `source`. At most 65,507 bytes (65,527 to an
 * IPv6 peer). 0 (sent or queued), UDPTUN_E_NOT_FOUND (no such tunnel), UDPTUN_E_LIMIT (no flow
 * is free, or the flow's queue is full; counted), UDPTUN_E_INVALID.
 */
UDPTUN_API int udptun_send(udptun_engine *engine, const char *name,
                           const struct udptun_address *source, const struct udptun_address *peer,
                           const void *data, size_t size);

/*
 * The same for an app that finds out what its path carries (QUIC, RFC 8899): a datagram that makes
 * an IP packet of more than 1,280 bytes is rather answered by callbacks.too_big than sent on in
 * fragments. A udp-server that does not know this sends it as any other.
 */
UDPTUN_API int udptun_send_unfragmented(udptun_engine *engine, const char *name,
                                        const struct udptun_address *source,
                                        const struct udptun_address *peer, const void *data,
                                        size_t size);

/* The stream asked for by callbacks.stream_open is up. */
UDPTUN_API void udptun_stream_opened(udptun_stream *stream);
/* Bytes from the peer. The stream may be closed (stream_close called) before this returns. */
UDPTUN_API void udptun_stream_input(udptun_stream *stream, const void *data, size_t size);
/* callbacks.stream_write may be called again. */
UDPTUN_API void udptun_stream_writable(udptun_stream *stream);
/* The stream ended or could not be opened; `reason` goes to logs and state. */
UDPTUN_API void udptun_stream_closed(udptun_stream *stream, const char *reason);
/* server: a stream came in at the app. `peer` is for status and logs. When too many streams have
 * not completed their handshake, the oldest of them is closed. NULL and `err`: UDPTUN_E_NOT_FOUND
 * (no such tunnel), UDPTUN_E_INVALID (no server that runs, or one without callbacks.stream_write),
 * UDPTUN_E_NOMEM. */
UDPTUN_API udptun_stream *udptun_stream_accept(udptun_engine *engine, const char *name,
                                               void *stream_arg, const char *peer,
                                               struct udptun_error *err);

#ifdef __cplusplus
}
#endif

#endif
