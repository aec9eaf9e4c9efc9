/* SPDX-License-Identifier: Apache-2.0 */
/*
 * wait_call.h - calls to udptund that may take long, each on a connection of its own.
 *
 * udptund answers the calls of one connection in order, so a call that waits would hold up every
 * other. The connection ends with the call. A client that goes away takes its calls along: udptund
 * sees the connection end and gives the wait up.
 */
#ifndef PROXY_WAIT_CALL_H
#define PROXY_WAIT_CALL_H

#include "controller/proxy/udptund.h"

struct wait_calls {
    const struct udptund *main; /* where udptund is */
    struct list all;
};

void wait_calls_init(struct wait_calls *w, const struct udptund *main);
/* Calls under way fail with UDPTUN_E_CANCELLED. */
void wait_calls_close(struct wait_calls *w);

/* As udptund_call(), for the client with this id. `done` is called exactly once. */
void wait_call(struct wait_calls *w, uint64_t client, const char *action, const json_t *parameters,
               double timeout_s, udptun_client_reply_fn done, void *arg);

/* The client is gone: its calls fail with UDPTUN_E_CANCELLED. */
void wait_calls_cancel(struct wait_calls *w, uint64_t client);

#endif
