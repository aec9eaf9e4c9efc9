/* SPDX-License-Identifier: Apache-2.0 */
/*
 * status.h - what a tunnel is doing: status, sessions, flows, a round trip.
 *
 * Threads, ownership, versions and units: see <udptun/engine.h>, which includes this.
 */
#ifndef UDPTUN_STATUS_H
#define UDPTUN_STATUS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <udptun/error.h>
#include <udptun/types.h>

#ifdef __cplusplus
extern "C" {
#endif

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
    uint64_t dropped_no_flow;  /* no flow for it, and none could be created */
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
