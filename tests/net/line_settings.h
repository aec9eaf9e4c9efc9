/* SPDX-License-Identifier: Apache-2.0 */
/* line_settings.h - what of a line's directions can be set, at the start and while it runs */
#ifndef LINE_SETTINGS_H
#define LINE_SETTINGS_H

#include "tests/net/line_direction.h"

#define LINE_SIDES    2 /* 0: A to B, 1: B to A */
#define LINE_OPTIONS  5 /* the first ones of the table make sense at the start */
#define LINE_QUEUE_NS 1e9

struct line_setting {
    const char *name, *value, *meaning;
    bool (*set)(struct direction *d, const char *text);
};

extern const struct line_setting line_settings[];
extern const int line_setting_count;

uint64_t line_now_ns(void); /* CLOCK_MONOTONIC */

/*
 * `text` is one value for both directions, or two with a slash between. false after a message on
 * standard error, with nothing changed.
 */
bool line_apply(struct direction sides[LINE_SIDES], const struct line_setting *s, const char *text);

#endif
