/* SPDX-License-Identifier: Apache-2.0 */
/* registry.h - the tunnels of an engine by name. */
#ifndef ENGINE_REGISTRY_H
#define ENGINE_REGISTRY_H

#include "daemon/engine/tunnel.h"

/* NULL when there is none; `name` may be NULL. */
struct tunnel *registry_find(const struct udptun_engine *e, const char *name);

/* Remove every tunnel, telling the app. */
void registry_clear(struct udptun_engine *e);

#endif
