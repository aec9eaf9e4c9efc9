/* SPDX-License-Identifier: Apache-2.0 */
/* tun_registry.h - the tun2socks instances of an engine by name. tun_none.c where there are none.
 */
#ifndef ENGINE_TUN_REGISTRY_H
#define ENGINE_TUN_REGISTRY_H

#include "daemon/engine/core.h"

bool tun_exists(const struct udptun_engine *e, const char *name);

/* The name of an instance whose `udp` is the tunnel `name`; NULL: there is none. */
const char *tun_using(const struct udptun_engine *e, const char *name);

/*
 * The other end of the pipe device of instance `name`, for the server `user`: a descriptor that is
 * the caller's, or -1: no such instance, or another server has it. It is kept for `user` until
 * tun_pipe_close().
 */
int tun_pipe_open(struct udptun_engine *e, const char *name, const char *user);
void tun_pipe_close(struct udptun_engine *e, const char *user);

/* End every instance. */
void tun_clear(struct udptun_engine *e);

#endif
