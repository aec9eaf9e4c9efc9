/* SPDX-License-Identifier: Apache-2.0 */
/* gateways.h - what the rest of the engine asks of tun2socks instances. gateways_none.c where there
 * are none. */
#ifndef ENGINE_GATEWAYS_H
#define ENGINE_GATEWAYS_H

#include "daemon/engine/core/core.h"

/*
 * The other end of the pipe device of instance `name`, for the server `user`: a descriptor that is
 * the caller's, or -1: no such instance, or another server has it. It is kept for `user` until
 * gateway_pipe_close().
 */
int gateway_pipe_open(struct udptun_engine *e, const char *name, const char *user);
void gateway_pipe_close(struct udptun_engine *e, const char *user);
#endif
