/* SPDX-License-Identifier: Apache-2.0 */
/*
 * resolver.h - host names to addresses without blocking the loop, and a small cache.
 *
 * One resolver serves one loop and one set of socket rules. Everything is answered from the
 * cache while fresh; one question for a name is under way at most, whoever asks. Addresses whose
 * time is over are kept and used while the name is asked again, and when no name server answers
 * (RFC 8767). Nothing is held at rest but the cache: c-ares is started by the first question and
 * ended when none has been asked for a while, which also makes it read the system's settings again.
 */
#ifndef ENGINE_RESOLVER_H
#define ENGINE_RESOLVER_H

#include <stdbool.h>
#include <stddef.h>

#include "daemon/platform/names.h"
#include "proto/endpoint.h"

struct loop;
struct resolver;
struct resolver_lookup;

/* Addresses kept of one name. */
#define RESOLVER_MAX_ADDRESSES NAMES_MAX_ADDRESSES

/*
 * The answer: `count` endpoints, best first, the families taking turns (RFC 8305 section 4), with
 * the port that was asked for; or none and why as a clause: "no such host". `eps` is valid until
 * the callback returns. Never called from inside resolver_lookup().
 */
typedef void resolver_done(void *arg, const struct udptun_endpoint *eps, size_t count,
                           const char *failure);

/* NULL: out of memory. `rules` are copied; `hosts` (NULL: none) must outlive it. */
struct resolver *resolver_new(struct loop *loop, const struct socket_rules *rules,
                              struct hosts *hosts);

/* Take over the addresses that `from` (NULL: none) knows. They are asked for again before use. */
void resolver_inherit(struct resolver *r, struct resolver *from);

/* Every lookup must have ended or been cancelled. NULL is accepted. */
void resolver_free(struct resolver *r);

/* Ask for a name (`name_len` bytes, no NUL needed; an address as text is fine). NULL: out of
 * memory, or too many different names are being asked for; then nothing is called. The lookup is
 * gone once `done` was called. */
struct resolver_lookup *resolver_lookup(struct resolver *r, const char *name, size_t name_len,
                                        uint16_t port, resolver_done *done, void *arg);

/* `done` will not be called. */
void resolver_cancel(struct resolver_lookup *lookup);

/*
 * What the cache knows right now. True: up to `max` endpoints with `port` are in `eps`, their
 * number in `*count`; 0: the name is known not to resolve. If they are no longer fresh, the name is
 * being asked again. False: ask.
 */
bool resolver_cached(struct resolver *r, const char *name, size_t name_len, uint16_t port,
                     struct udptun_endpoint *eps, size_t max, size_t *count);

/* The network changed: read the system's settings again, and ask for every name again before it is
 * used. Its last addresses stay for when no name server can be reached. */
void resolver_flush(struct resolver *r);

#endif
