/* SPDX-License-Identifier: Apache-2.0 */
/* state.c - see state.h. */
#include "daemon/control/store/state.h"

#include <time.h>

static uint64_t monotonic_s(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec;
}

void control_start_clock(struct control *control)
{
    control->started_s = monotonic_s();
}

uint64_t control_uptime_s(const struct control *control)
{
    return monotonic_s() - control->started_s;
}
