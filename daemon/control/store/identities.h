/* SPDX-License-Identifier: Apache-2.0 */
/*
 * identities.h - the sessions of udp-locals, kept in the state directory.
 *
 * A file NAME.session for each local tunnel that is not ephemeral, those of the config file
 * included: what udptun_identity() gives, 0600, replaced as a whole. With it a udptund that was
 * killed goes on with its sessions, and flows keep their external ports. A file that is damaged or
 * cannot be read costs that, and nothing else.
 */
#ifndef CONTROL_IDENTITIES_H
#define CONTROL_IDENTITIES_H

#include <stddef.h>
#include <stdint.h>

#include <udptun/engine.h>

#include "daemon/control/store/store.h"
#include "daemon/control/store/worker.h"

/* The size of what is kept for `name`, now in `to`; 0: nothing. */
size_t identity_load(const struct store *store, const char *name, uint8_t to[UDPTUN_IDENTITY_SIZE]);

/* Keep `size` bytes for `name`, written by the worker. Memory that is short costs the file. */
void identity_save(const struct store *store, struct worker *worker, const char *name,
                   const uint8_t *identity, size_t size);

/* The tunnel is gone, and its session with it. In its turn after writes that are under way. */
void identity_forget(const struct store *store, struct worker *worker, const char *name);

#endif
