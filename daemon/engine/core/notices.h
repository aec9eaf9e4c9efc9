/* SPDX-License-Identifier: Apache-2.0 */
/*
 * notices.h - what the app is told once nothing of the engine is on the stack any more.
 *
 * States and answers to pings happen deep inside a machine, where an app that reacts by removing
 * the entry would saw off the branch. They are kept here and delivered in order at the end of
 * the turn, or of the API call that led to them.
 */
#ifndef ENGINE_NOTICES_H
#define ENGINE_NOTICES_H

#include "daemon/engine/core/entry.h"

typedef void notice_state_changed(void *arg, const char *name, enum udptun_state state,
                                  const char *reason);

/* The entry `name` is in another state: `changed` (NULL: nobody listens) will be called. */
void notice_state(struct udptun_engine *e, notice_state_changed *changed, void *arg,
                  const char *name, enum udptun_state state, const char *reason);
void notice_ping(struct udptun_engine *e, void (*done)(void *arg, int code, uint64_t rtt_us),
                 void *arg, int code, uint64_t rtt_us);

/* Deliver all of them, those that come up meanwhile included. Nothing when already under way. */
void notices_deliver(struct udptun_engine *e);

#endif
