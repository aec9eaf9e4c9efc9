/* SPDX-License-Identifier: Apache-2.0 */
/* clock.c - the clocks of Linux; CLOCK_BOOTTIME goes on during sleep, CLOCK_MONOTONIC does not. */
#include "daemon/platform/clock.h"

#include <time.h>

uint64_t clock_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_BOOTTIME, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

uint64_t clock_wall_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

uint64_t clock_wall_ms(void)
{
    return clock_wall_us() / 1000;
}
