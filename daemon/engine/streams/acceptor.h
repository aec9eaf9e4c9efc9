/* SPDX-License-Identifier: Apache-2.0 */
/* acceptor.h - takes streams from a listening socket, of a udp-server or a SOCKS5 listener, and
 * logs a shortage of descriptors under the tunnel's name. */
#ifndef ENGINE_ACCEPTOR_H
#define ENGINE_ACCEPTOR_H

#include "daemon/engine/core/core.h"
#include "daemon/platform/accepting.h"

/* A stream from `from` (family NONE: a Unix socket); `socket` is the callee's. */
typedef void acceptor_taken(void *arg, udptun_socket socket, const struct udptun_endpoint *from);

struct acceptor {
    struct udptun_engine *engine;
    const char *module; /* in log lines, with the name of the tunnel */
    const char *name;
    void *arg;
    acceptor_taken *taken;
    struct accepting accepting;
    struct cap_note *cap; /* the caller's: where it says that descriptors ran out */
};

/* `module`, `name` and `cap` stay the caller's. */
void acceptor_init(struct acceptor *a, struct udptun_engine *e, const char *module,
                   const char *name, struct cap_note *cap, acceptor_taken *taken, void *arg);
/* UDPTUN_OK or UDPTUN_E_NOMEM. */
int acceptor_start(struct acceptor *a, udptun_socket listening);
/* Harmless when it does not run. */
void acceptor_stop(struct acceptor *a);

#endif
