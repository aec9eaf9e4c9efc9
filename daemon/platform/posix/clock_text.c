/* SPDX-License-Identifier: Apache-2.0 */
/* clock_text.c - the wall clock for people. */
#include <time.h>

#include "daemon/platform/clock.h"

char *clock_wall_text(char text[CLOCK_TEXT_SIZE])
{
    time_t now = (time_t)(clock_wall_ms() / 1000);
    struct tm tm;
    strftime(text, CLOCK_TEXT_SIZE, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&now, &tm));
    return text;
}

char *clock_local_text(uint64_t wall_s, char text[CLOCK_TEXT_SIZE])
{
    time_t when = (time_t)wall_s;
    struct tm tm;
    strftime(text, CLOCK_TEXT_SIZE, "%Y-%m-%dT%H:%M:%S", localtime_r(&when, &tm));
    return text;
}
