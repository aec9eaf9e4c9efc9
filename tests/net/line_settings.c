/* SPDX-License-Identifier: Apache-2.0 */
/* line_settings.c - see line_settings.h */
#include "tests/net/line_settings.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define TCP_FIN       0x01
#define TCP_RST       0x04
#define VALUE_SIZE    32
#define MAX_DELAY_MS  60000
#define MAX_TIME_S    86400
#define MAX_RATE_MBIT 100000
#define MAX_QUEUE_KIB (1 << 20)

uint64_t line_now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * UINT64_C(1000000000) + (uint64_t)now.tv_nsec;
}

/* A number from 0 to `most` that fills `text` but for `unit`. */
static bool parse_number(const char *text, const char *unit, double most, double *out)
{
    char *end = NULL;
    errno = 0;
    *out = strtod(text, &end);
    return end != text && errno == 0 && isfinite(*out) && *out >= 0 && *out <= most &&
           strcmp(end, unit) == 0;
}

static bool set_delay(struct direction *d, const char *text)
{
    double ms = 0;
    bool ok = parse_number(text, "", MAX_DELAY_MS, &ms);
    d->delay_ns = ok ? (uint64_t)(ms * 1e6) : d->delay_ns;
    return ok;
}

static bool set_jitter(struct direction *d, const char *text)
{
    double ms = 0;
    bool ok = parse_number(text, "", MAX_DELAY_MS, &ms);
    d->jitter_ns = ok ? (uint64_t)(ms * 1e6) : d->jitter_ns;
    return ok;
}

static bool set_loss(struct direction *d, const char *text)
{
    double percent = 0;
    bool ok = parse_number(text, "", 100, &percent);
    d->loss = ok ? percent / 100 : d->loss;
    return ok;
}

static bool set_rate(struct direction *d, const char *text)
{
    double mbit = 0;
    bool ok = parse_number(text, "", MAX_RATE_MBIT, &mbit);
    d->rate_bps = ok ? mbit * 1e6 : d->rate_bps;
    return ok;
}

static bool set_queue(struct direction *d, const char *text)
{
    double value = 0;
    if (parse_number(text, "ms", MAX_DELAY_MS, &value)) {
        d->queue_ns = value * 1e6;
        d->queue_bytes = 0;
        return true;
    }
    if (parse_number(text, "KiB", MAX_QUEUE_KIB, &value) && value > 0) {
        d->queue_bytes = value * 1024;
        return true;
    }
    return false;
}

static bool set_cut(struct direction *d, const char *text)
{
    double seconds = 0;
    bool ok = parse_number(text, "", MAX_TIME_S, &seconds);
    d->cut_until_ns = ok ? line_now_ns() + (uint64_t)(seconds * 1e9) : d->cut_until_ns;
    return ok;
}

static bool set_flag(struct direction *d, uint8_t flag, const char *text)
{
    bool on = strcmp(text, "on") == 0;
    if (!on && strcmp(text, "off") != 0) {
        return false;
    }
    d->drop_tcp_flags = (uint8_t)(on ? d->drop_tcp_flags | flag : d->drop_tcp_flags & ~flag);
    return true;
}

static bool set_drop_fin(struct direction *d, const char *text)
{
    return set_flag(d, TCP_FIN, text);
}

static bool set_drop_rst(struct direction *d, const char *text)
{
    return set_flag(d, TCP_RST, text);
}

const struct line_setting line_settings[] = {
    {"delay", "MS", "delay one way (0)", set_delay},
    {"jitter", "MS", "up to so much more delay, in order (0)", set_jitter},
    {"loss", "PERCENT", "packets lost by chance (0)", set_loss},
    {"rate", "MBIT", "megabits a second of IP packets, 0 without limit (0)", set_rate},
    {"queue", "SIZE", "what may wait for the rate: 200ms, 64KiB (1000ms)", set_queue},
    {"cut", "SECONDS", "drop everything for so long, under way included", set_cut},
    {"drop fin", "on|off", "drop TCP segments with FIN", set_drop_fin},
    {"drop rst", "on|off", "drop TCP segments with RST", set_drop_rst},
};
const int line_setting_count = sizeof(line_settings) / sizeof(line_settings[0]);

bool line_apply(struct direction sides[LINE_SIDES], const struct line_setting *s, const char *text)
{
    char first[VALUE_SIZE];
    const char *slash = strchr(text, '/');
    size_t first_size = slash ? (size_t)(slash - text) : strlen(text);
    const char *values[LINE_SIDES] = {first, slash ? slash + 1 : first};

    if (first_size < sizeof(first)) {
        memcpy(first, text, first_size);
        first[first_size] = 0;
        /* Both or neither: the second value is tried on a copy. */
        struct direction scratch = sides[1];
        if (s->set(&scratch, values[1]) && s->set(&sides[0], values[0])) {
            return s->set(&sides[1], values[1]);
        }
    }
    fprintf(stderr, "line: %s: '%s' is not %s or two of that with '/' between\n", s->name, text,
            s->value);
    return false;
}
