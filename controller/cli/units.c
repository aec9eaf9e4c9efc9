/* SPDX-License-Identifier: Apache-2.0 */
/* units.c - numbers as people read them: three digits and a unit. */
#include "controller/cli/cli.h"

#include <inttypes.h>
#include <string.h>

/* "1.2", "12.3", "123" and the prefix; the plain number below 1000. */
static void units_scaled(uint64_t value, const char *gap, const char *const *suffixes,
                         char text[UNIT_TEXT_SIZE])
{
    double shown = (double)value;
    size_t step = 0;
    while (shown >= 999.5 && suffixes[step + 1]) {
        shown /= 1000;
        step++;
    }
    if (step == 0)
        snprintf(text, UNIT_TEXT_SIZE, "%" PRIu64 "%s%s", value, gap, suffixes[0]);
    else
        snprintf(text, UNIT_TEXT_SIZE, "%.*f%s%s", shown < 99.95 ? 1 : 0, shown, gap,
                 suffixes[step]);
}

char *unit_bytes(uint64_t bytes, char text[UNIT_TEXT_SIZE])
{
    static const char *const suffixes[] = {"B", "kB", "MB", "GB", "TB", "PB", "EB", NULL};
    units_scaled(bytes, " ", suffixes, text);
    return text;
}

char *unit_count(uint64_t count, char text[UNIT_TEXT_SIZE])
{
    static const char *const suffixes[] = {"", "k", "M", "G", "T", "P", "E", NULL};
    units_scaled(count, "", suffixes, text);
    return text;
}

char *unit_ms(double ms, char text[UNIT_TEXT_SIZE])
{
    if (ms < 0.005)
        snprintf(text, UNIT_TEXT_SIZE, "0 ms");
    else if (ms >= 999.5)
        snprintf(text, UNIT_TEXT_SIZE, "%.1f s", ms / 1000);
    else
        snprintf(text, UNIT_TEXT_SIZE, "%.*f ms", ms < 9.995 ? 2 : ms < 99.95 ? 1 : 0, ms);
    return text;
}

char *unit_seconds(uint64_t s, char text[UNIT_TEXT_SIZE])
{
    const uint64_t minute = 60, hour = 60 * minute, day = 24 * hour;
    if (s < minute)
        snprintf(text, UNIT_TEXT_SIZE, "%" PRIu64 "s", s);
    else if (s < hour)
        snprintf(text, UNIT_TEXT_SIZE, "%" PRIu64 "m %" PRIu64 "s", s / minute, s % minute);
    else if (s < day)
        snprintf(text, UNIT_TEXT_SIZE, "%" PRIu64 "h %" PRIu64 "m", s / hour, s % hour / minute);
    else
        snprintf(text, UNIT_TEXT_SIZE, "%" PRIu64 "d %" PRIu64 "h", s / day, s % day / hour);
    return text;
}
