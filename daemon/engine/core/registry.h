/* SPDX-License-Identifier: Apache-2.0 */
/* registry.h - the entries of an engine by name: one namespace, in alphabetical order. */
#ifndef ENGINE_REGISTRY_H
#define ENGINE_REGISTRY_H

#include "daemon/engine/core/entry.h"

/* NULL when there is none, or one of another kind; `name` may be NULL. */
struct entry *registry_entry(const struct udptun_engine *e, const struct entry_kind *kind,
                             const char *name);

/* The bodies of udptun_configure() and the like: on the engine's thread, whichever calls. */
int registry_configure(struct udptun_engine *e, const struct entry_kind *kind, const void *given,
                       bool *changed, struct udptun_error *err);
int registry_remove(struct udptun_engine *e, const struct entry_kind *kind, const char *name,
                    struct udptun_error *err);
/* `each` may configure and remove. Short of memory none is visited. */
void registry_each(struct udptun_engine *e, const struct entry_kind *kind,
                   void (*each)(void *arg, const char *name), void *arg);

/* Object `name` entered a state: tell those that name it. */
void registry_tell(struct udptun_engine *e, const char *name, enum udptun_state state,
                   const char *reason);

/* The pipe of entry `name`, as entry_pipe.open() says; NO_SOCKET also: no such entry. */
udptun_socket registry_pipe_open(struct udptun_engine *e, const char *name, const char *user);
/* `user` has no pipe any more. */
void registry_pipe_close(struct udptun_engine *e, const char *user);

/* Move it to those that are to be freed. */
void registry_bury(struct udptun_engine *e, struct entry *o);
/* Free those. Nothing of them may be on the stack. */
void registry_free_dead(struct udptun_engine *e);

/* Remove every entry, telling the app. */
void registry_clear(struct udptun_engine *e);

#endif
