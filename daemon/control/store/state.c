/* SPDX-License-Identifier: Apache-2.0 */
/* state.c - see state.h. */
#include "daemon/control/store/state.h"

#include "daemon/platform/clock.h"

void control_start_clock(struct control *control)
{
    control->started_us = clock_us();
}

uint64_t control_uptime_s(const struct control *control)
{
    return (clock_us() - control->started_us) / 1000000;
}
