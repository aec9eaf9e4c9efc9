/* SPDX-License-Identifier: Apache-2.0 */
/*
 * types.h - what all functions of libudptun share: handles, states, addresses.
 *
 * Threads, ownership, versions and units: see <udptun/engine.h>, which includes this.
 */
#ifndef UDPTUN_TYPES_H
#define UDPTUN_TYPES_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(_WIN32)
#define UDPTUN_API __declspec(dllexport)
#else
#define UDPTUN_API __attribute__((visibility("default")))
#endif

typedef struct udptun_engine udptun_engine;
typedef struct udptun_stream udptun_stream;

enum udptun_log_level {
    UDPTUN_LOG_ERROR,
    UDPTUN_LOG_WARN,
    UDPTUN_LOG_INFO,
    UDPTUN_LOG_DEBUG,
};

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

/* In the config structs: the default that is named there. */
#define UDPTUN_DEFAULT (-1)

/* Bytes of the longest URL and its NUL. */
#define UDPTUN_URL_SIZE 320

#ifdef __cplusplus
}
#endif

#endif
