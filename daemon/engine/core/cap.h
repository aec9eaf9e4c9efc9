/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cap.h - the limit that an object has reached lately, for its status and the log.
 *
 * A cap is reached again and again while it lasts, so it is logged once, and shown until it was not
 * reached for a while. One that is reached later takes the place of an earlier one.
 */
#ifndef ENGINE_CAP_H
#define ENGINE_CAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <udptun/engine.h>

/* All zero: none was reached. */
struct cap_note {
    uint64_t at_us; /* when it was reached the last time; 0: never */
    char text[160]; /* which, and what comes of it: "maxFlows is reached: ..." */
};

void cap_reached(struct udptun_engine *e, struct cap_note *note, const char *module,
                 const char *name, const char *format, ...) __attribute__((format(printf, 5, 6)));

/* Descriptors ran out: `what` says for what, as "a new flow". */
void cap_descriptors(struct udptun_engine *e, struct cap_note *note, const char *module,
                     const char *name, const char *what);

/* Put `cap` (NULL: none) into a status. What an object in trouble says already comes first. Returns
 * whether there is one. */
bool cap_fill(const char *cap, enum udptun_state state, char *last_error, size_t size);

/* End of a turn: whether all flows together have met the limit of what they may hold. */
void cap_look_at_buffers(struct udptun_engine *e);

/* What is to be shown now; NULL: nothing. */
const char *cap_shown(const struct cap_note *note, uint64_t now_us);

#endif
