/* SPDX-License-Identifier: Apache-2.0 */
/*
 * identities.h - the sessions of udp-locals, kept in the state directory.
 *
 * A file NAME.session for each local tunnel that is not ephemeral, those of the config file
 * included: what udptun_identity() gives, 0600, replaced as a whole. With it a udptund that was
 * killed goes on with its sessions, and flows keep their external ports. A file that is damaged or
 * cannot be read costs that, and nothing else. One that cannot be written is logged, shown in the
 * status and tried again (unwritten.h).
 */
#ifndef CONTROL_IDENTITIES_H
#define CONTROL_IDENTITIES_H

#include <stddef.h>
#include <stdint.h>

#include <udptun/engine.h>

#include "daemon/control/store/store.h"
#include "daemon/control/store/worker.h"
#include "proto/list.h"

struct identities {
    struct store *store;
    struct worker *worker;
    struct list jobs; /* under way, and those that failed, the latest of a name */
    void (*failed)(void *arg, const char *name, const char *why); /* on the loop's thread */
    void *arg;
};

void identities_init(struct identities *i, struct store *store, struct worker *worker,
                     void (*failed)(void *arg, const char *name, const char *why), void *arg);

/* After the worker has ended: what could not be written is given up. */
void identities_fini(struct identities *i);

/* The size of what is kept for `name`, now in `to`; 0: nothing. Blocks. */
size_t identity_load(struct store *store, const char *name, uint8_t to[UDPTUN_IDENTITY_SIZE]);

/* Keep `size` bytes for `name`, written by the worker. Memory that is short costs the file. */
void identity_save(struct identities *i, const char *name, const uint8_t *identity, size_t size);

/* The tunnel is gone, and its session with it. In its turn after writes that are under way. */
void identity_forget(struct identities *i, const char *name);

/* Try those again that failed. */
void identities_retry(struct identities *i);

/* Why the session of `name` (NULL: of any tunnel) is not written; NULL: it is, or is under way. */
const char *identities_reason(const struct identities *i, const char *name);

#endif
