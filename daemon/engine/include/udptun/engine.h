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

#ifdef __cplusplus
extern "C" {
#endif

#if defined(_WIN32)
#define UDPTUN_API __declspec(dllexport)
#else
#define UDPTUN_API __attribute__((visibility("default")))
#endif

struct ev_loop;

typedef struct udptun_engine udptun_engine;
typedef struct udptun_stream udptun_stream;

enum udptun_log_level {
    UDPTUN_LOG_ERROR,
    UDPTUN_LOG_WARN,
    UDPTUN_LOG_INFO,
    UDPTUN_LOG_DEBUG,
};

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

/* A new engine, or NULL and `err` (may be NULL): UDPTUN_E_NOMEM, UDPTUN_E_SYSTEM (no loop or no
 * thread could be had), UDPTUN_E_INVALID (`size` is not that of a known version). */
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

enum udptun_role {
    UDPTUN_LOCAL = 1, /* wraps: datagrams in, streams to the server out */
    UDPTUN_SERVER,    /* unwraps: streams in, datagrams to their destinations out */
};

#define UDPTUN_STATES(X)                                                                           \
    X(STARTING, "starting")       /* being set up */                                               \
    X(CONNECTING, "connecting")   /* local: no session yet, the first connection is on its way */  \
    X(ESTABLISHED, "established") /* local: a session, control and data connections up */          \
    X(LISTENING, "listening")     /* server: accepting connections */                              \
    X(DEGRADED, "degraded")       /* local: a session, but not all the connections it wants */     \
    X(RECONNECTING, "reconnecting") /* local: every connection lost, being dialled again */        \
    X(FAILED, "failed")             /* a local resource was lost; nothing passes */                \
    X(DISABLED, "disabled")         /* configured, not running */

enum udptun_state {
#define UDPTUN_STATE_ENUM(symbol, name) UDPTUN_##symbol,
    UDPTUN_STATES(UDPTUN_STATE_ENUM)
#undef UDPTUN_STATE_ENUM
};

/* "established". Static storage; any thread. */
UDPTUN_API const char *udptun_state_name(enum udptun_state state);

/* An IP address and port for the calls that carry datagrams of the app's own. */
struct udptun_address {
    uint8_t family;   /* 4 or 6; 3: `name` is resolved by the udp-server; 0: none */
    uint16_t port;    /* host byte order */
    uint8_t ip[16];   /* network byte order, IPv4 in the first four */
    const char *name; /* with family 3: NUL-terminated, at most 255 bytes; else NULL */
};

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
#define UDPTUN_DEFAULT (-1)

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
 * dropping flows does; else the tunnel is made anew. `changed` (may be NULL) tells whether
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
/* server: a stream came in at the app. `peer` is for status and logs. Of too many that have not
 * said yet who they are the oldest is closed for it. NULL and `err`: UDPTUN_E_NOT_FOUND (no such
 * tunnel), UDPTUN_E_INVALID (no server that runs, or one without callbacks.stream_write),
 * UDPTUN_E_NOMEM. */
UDPTUN_API udptun_stream *udptun_stream_accept(udptun_engine *engine, const char *name,
                                               void *stream_arg, const char *peer,
                                               struct udptun_error *err);

/* ---- tun2socks ---------------------------------------------------------------------------- */

/*
 * IP packets of a device in, streams and datagrams out: TCP through a proxy, UDP into a tunnel of
 * this engine or through a proxy. Instances and tunnels share one namespace. All instances of a
 * process live on one thread, and a library that was built without tun2socks has none:
 * UDPTUN_E_UNSUPPORTED.
 */
struct udptun_tun2socks_config {
    size_t size;
    const char *name;      /* 1 to 64 of A-Za-z0-9._- ; required */
    const char *device;    /* "tun:NAME", "fd:", "unix:PATH", "pipe" or "app:" (the app
                              hands packets over by functions); required */
    int fd;                /* with "fd:": packets on it; the engine's own copy is made (-1) */
    const char *address;   /* "10.0.0.1/24", of a tun: device (none) */
    const char *address6;  /* "fd00::1/64" (none) */
    int64_t mtu;           /* 1280 to 65535 (65535 with segmentation offload, else 9000) */
    const char *tcp;       /* "socks5://[USER:PASS@]HOST:PORT", "direct" or "reject" (reject) */
    const char *udp;       /* "tunnel:NAME", "socks5://...", "direct" or "reject" (reject) */
    const char *icmp_echo; /* "reply" or "drop" (reply) */
    bool block_quic;       /* UDP port 443 is answered with ICMP port unreachable (false) */
    int64_t max_tcp_flows; /* (4096), 1 to 1048576 */
    int64_t max_udp_flows; /* (16384), 1 to 1048576 */
    int64_t udp_flow_timeout_s; /* (300), 1 to 86400 */
    int64_t mark;               /* SO_MARK of its sockets, Linux (none), 0 to 4294967295 */
    const char *bind_device;    /* SO_BINDTODEVICE, Linux (none) */
    bool enabled;               /* (true) */
    void *arg;                  /* of the callbacks below */
    /* As udptun_callbacks.state. NULL: none. */
    void (*state)(void *arg, const char *name, enum udptun_state state, const char *reason);
    /* "app:": an IP packet for the app's device, in one piece, valid until this returns. Called
     * from deep inside: what it changes by functions of this header happens when the turn ends. */
    void (*packet)(void *arg, const char *name, const void *data, size_t size);
    /* "HOST:PORT": DNS questions of the apps, to port 53 of whatever address, go to this server,
     * over `udp` and `tcp`; answers come from the address that was asked. A name is looked up by
     * the far end, so neither may be "direct" then (none) */
    const char *dns;
    int64_t dns_cache; /* answers that are kept (1024; 0 without `dns`), 0 to 65536 */
};

UDPTUN_API void udptun_tun2socks_config_init_sized(struct udptun_tun2socks_config *config,
                                                   size_t size);

/* Sets `size` and every default. */
static inline void udptun_tun2socks_config_init(struct udptun_tun2socks_config *config)
{
    udptun_tun2socks_config_init_sized(config, sizeof *config);
}

/* As udptun_tunnel_config_check(). */
UDPTUN_API int udptun_tun2socks_config_check(const struct udptun_tun2socks_config *config,
                                             struct udptun_error *err);

/*
 * As udptun_configure(). A change of device, address or mtu makes the instance anew; of `udp` it
 * ends the UDP flows; anything else leaves flows alone. UDPTUN_E_NOT_FOUND: the tunnel that `udp`
 * names is absent; UDPTUN_E_CONFLICT: a tunnel has that name, the device is taken, or another
 * thread of the process has instances; UDPTUN_E_PERMISSION. On failure what ran before runs on.
 */
UDPTUN_API int udptun_tun2socks_configure(udptun_engine *engine,
                                          const struct udptun_tun2socks_config *config,
                                          bool *changed, struct udptun_error *err);

/* End an instance and its flows. UDPTUN_E_NOT_FOUND; UDPTUN_E_CONFLICT: a tunnel's `egress` names
 * it. */
UDPTUN_API int udptun_tun2socks_remove(udptun_engine *engine, const char *name,
                                       struct udptun_error *err);

/*
 * device "app:": an IP packet that the app's device has read; copied. Any number of them make one
 * batch of a turn of the loop. 0, UDPTUN_E_NOT_FOUND (no such instance, or it does not run),
 * UDPTUN_E_INVALID (another device, or no packet: 1 to 65,575 bytes), UDPTUN_E_LIMIT (it has to
 * wait for the end of the turn, since this is inside the callback `packet` or behind one that was
 * handed over there, and too many do).
 */
UDPTUN_API int udptun_tun2socks_packet(udptun_engine *engine, const char *name, const void *data,
                                       size_t size);

#define UDPTUN_TUN2SOCKS_MAX_DROPS  24
#define UDPTUN_TUN2SOCKS_MAX_RELAYS 16
#define UDPTUN_URL_SIZE             320

struct udptun_tun2socks_status {
    char name[65];
    /* ESTABLISHED; DEGRADED: its proxy could not be reached the last time, or its tunnel does not
     * run; FAILED: the device is gone, it is tried again; DISABLED */
    enum udptun_state state;
    char last_error[256]; /* "" when there is none */
    char device[160];     /* "tun:tun0", with the real name */
    uint32_t mtu;
    char tcp[UDPTUN_URL_SIZE]; /* without user and password */
    char udp[UDPTUN_URL_SIZE];
    int associated;     /* udp "socks5://": 1 by UDP ASSOCIATE, 0 without, -1: not known */
    uint64_t tcp_flows; /* alive */
    uint64_t udp_flows;
    uint64_t tcp_refused;
    uint64_t tx_packets; /* from the device */
    uint64_t rx_packets; /* to the device */
    uint64_t tx_bytes;
    uint64_t rx_bytes;
    size_t drop_count;
    struct {
        const char *cause; /* "malformed"; static storage */
        uint64_t packets;
    } dropped[UDPTUN_TUN2SOCKS_MAX_DROPS];
    uint64_t uptime_s;
    char dns[UDPTUN_URL_SIZE]; /* "": questions go where the apps send them; the rest is 0 then */
    uint64_t dns_questions;    /* of apps, over UDP */
    uint64_t dns_cached;       /* of these, answered from the cache */
    uint64_t dns_shared;       /* that waited for the answer to an equal one */
    uint64_t dns_unanswered;   /* the server gave no answer, or it was no question */
    uint64_t dns_entries;      /* answers in the cache now */
    /* udp "socks5://": the addresses that the proxy has named for datagrams, "HOST:PORT", the first
     * ones only. Who routes the machine's traffic into the device keeps them outside. */
    size_t relay_count;
    char relays[UDPTUN_TUN2SOCKS_MAX_RELAYS][72];
    bool at_limit; /* a limit was reached in the last minute; last_error says which */
};

/* Fill `status`. UDPTUN_E_NOT_FOUND. */
UDPTUN_API int udptun_tun2socks_status(udptun_engine *engine, const char *name,
                                       struct udptun_tun2socks_status *status);

/* Call `each` with the name of every instance in alphabetical order. */
UDPTUN_API void udptun_each_tun2socks(udptun_engine *engine,
                                      void (*each)(void *arg, const char *name), void *arg);

/* ---- looking and asking ---------------------------------------------------------------------- */

#define UDPTUN_MAX_CONNECTIONS 33 /* 32 data connections and the control connection */

struct udptun_counters {
    uint64_t tx_packets; /* towards the far end */
    uint64_t rx_packets;
    uint64_t tx_bytes; /* of payload */
    uint64_t rx_bytes;
    uint64_t dropped_stale;    /* waited longer than maxQueueDelayMs */
    uint64_t dropped_queue;    /* maxQueueBytes was reached */
    uint64_t dropped_oversize; /* larger than can be sent where it was going */
    uint64_t dropped_policy;   /* its destination or source is not allowed */
    uint64_t dropped_no_flow;  /* no flow for it, or none could be had */
    uint64_t dropped_error;    /* could not be sent on: the system refused, or there is no way */
};

struct udptun_connection_status {
    bool control;      /* the control connection, not a data connection */
    const char *state; /* "connecting", "handshake", "up"; static storage */
    int64_t rtt_us;    /* -1: not measured yet */
    int64_t queue_us;  /* how long the oldest unacknowledged byte has been under way, 0: none */
    uint64_t tx_bytes; /* of the stream, headers included */
    uint64_t rx_bytes;
};

struct udptun_tunnel_status {
    char name[65];
    enum udptun_role role;
    enum udptun_state state;
    char last_error[256];         /* "" when there is none */
    char listen[UDPTUN_URL_SIZE]; /* with the real port, without user and password; "" if none */
    char server[UDPTUN_URL_SIZE]; /* local */
    uint64_t sessions;
    uint64_t flows;
    size_t connection_count; /* local; a server's connections are its sessions' */
    struct udptun_connection_status connections[UDPTUN_MAX_CONNECTIONS];
    struct udptun_counters counters;
    uint64_t reconnects; /* local: connections dialled again after one was lost */
    uint64_t resumed;    /* sessions that went on after all connections were lost */
    int64_t rtt_us;      /* local: of the best connection, -1: not measured */
    uint64_t uptime_s;
    /* local: connections that failed while others were up. A proxy may allow few of them: then the
     * tunnel is established with these, and tries another one ever more rarely. */
    uint64_t refused;
    bool at_limit; /* a limit was reached in the last minute; last_error says which */
};

/* Fill `status`. UDPTUN_E_NOT_FOUND. */
UDPTUN_API int udptun_status(udptun_engine *engine, const char *name,
                             struct udptun_tunnel_status *status);

/* Call `each` with the name of every tunnel in alphabetical order; it may configure and remove. */
UDPTUN_API void udptun_each_tunnel(udptun_engine *engine, void (*each)(void *arg, const char *name),
                                   void *arg);

struct udptun_session_status {
    char session[33]; /* the session id in hex */
    char peer[UDPTUN_URL_SIZE];
    const char *state; /* "established", "detached" (no connection, waiting); static storage */
    uint64_t flows;
    size_t connection_count;
    struct udptun_connection_status connections[UDPTUN_MAX_CONNECTIONS];
    uint64_t tx_bytes;
    uint64_t rx_bytes;
    uint64_t age_s;
};

/* Call `each` for every session of a tunnel, a local's own included. Inside it no function that
 * changes a tunnel may be called. UDPTUN_E_NOT_FOUND. */
UDPTUN_API int udptun_each_session(udptun_engine *engine, const char *name,
                                   void (*each)(void *arg, const struct udptun_session_status *s),
                                   void *arg);

/*
 * server: end the session with that id, 32 hexadecimal digits as udptun_each_session() tells; its
 * client is told, and comes back with a new one. UDPTUN_E_NOT_FOUND with `field` "name" or
 * "session", UDPTUN_E_INVALID (a local, or no id).
 */
UDPTUN_API int udptun_close_session(udptun_engine *engine, const char *name, const char *session,
                                    struct udptun_error *err);

struct udptun_flow_status {
    char id[64];       /* a cursor: listing goes on after it */
    char source[72];   /* local: the app's address; server: "SESSION/NUMBER" */
    char external[72]; /* the server's socket as targets see its port, "" when not known */
    uint64_t peers;
    struct udptun_counters counters;
    uint64_t idle_s;
    uint64_t age_s;
};

/* Call `each` for up to `limit` flows in a stable order, those after cursor `after` (NULL: from
 * the start). `*more` (may be NULL) tells whether some are left. UDPTUN_E_NOT_FOUND, or
 * UDPTUN_E_INVALID for a cursor that this tunnel never gave out. */
UDPTUN_API int udptun_each_flow(udptun_engine *engine, const char *name, const char *after,
                                size_t limit,
                                void (*each)(void *arg, const struct udptun_flow_status *f),
                                void *arg, bool *more);

/*
 * local: one round trip through the tunnel's own connections to the far end's session. `done` is
 * called exactly once, with UDPTUN_OK and the time, or UDPTUN_E_TIMEOUT, or UDPTUN_E_UNREACHABLE
 * when the tunnel ends first. Returns UDPTUN_E_NOT_FOUND, UDPTUN_E_INVALID (a server) or
 * UDPTUN_E_UNREACHABLE (nothing is connected) without calling it.
 */
UDPTUN_API int udptun_ping(udptun_engine *engine, const char *name, uint32_t timeout_ms,
                           void (*done)(void *arg, int code, uint64_t rtt_us), void *arg);

#ifdef __cplusplus
}
#endif

#endif
