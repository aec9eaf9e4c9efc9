/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tun_app.h - an app's TCP for tests: lwIP once more, as a host with an address of its own.
 *
 * Its packets are queued and go to the world's tun2socks, whose packets come back, when the test
 * says so: nothing happens inside anything else.
 */
#ifndef TESTS_UNIT_TUN_APP_H
#define TESTS_UNIT_TUN_APP_H

#include "lwip/netif.h"
#include "lwip/tcp.h"

#include "tests/unit/tun_world.h"

struct app {
    struct world *w;
    struct netif netif;
    struct world_packet *first, **last; /* from the app, oldest first */
    unsigned lose_every;                /* drop each n-th packet both ways, 0: none */
    unsigned count;
    bool corrupt; /* break the checksum of what the app sends */
};

struct app_flow {
    struct tcp_pcb *pcb; /* NULL: ended by lwIP */
    bool connected, ended;
    err_t error;
    uint64_t received, sent, wrong;
    bool holds_window; /* what is received is not acknowledged to lwIP */
    uint64_t held;
};

/* Either version: the app is 10.0.0.2 and fd00::2. */
void app_init(struct app *a, struct world *w, u16_t mtu);
void app_fini(struct app *a);
/* Let packets run both ways until none is left. */
void app_run(struct app *a);
void app_connect(struct app *a, struct app_flow *f, const char *to);
/* Send up to `size` bytes of the pattern; returns how many lwIP took. */
size_t app_send(struct app_flow *f, size_t size);
/* Take back the window that was held. */
void app_release(struct app_flow *f);
void app_close(struct app_flow *f);

#endif
