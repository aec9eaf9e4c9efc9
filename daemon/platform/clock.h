/* SPDX-License-Identifier: Apache-2.0 */
/* clock.h - the time, of either kind. */
#ifndef PLATFORM_CLOCK_H
#define PLATFORM_CLOCK_H

#include <stdint.h>

/*
 * Microseconds since some moment before the start of this process; never goes back. It goes on
 * while the machine sleeps: otherwise what is sent afterwards would look as late to the far end as
 * the sleep was long. For all deadlines and ages.
 */
uint64_t clock_us(void);

/* Time since 1970, UTC; may be set by the user. For what people read. */
uint64_t clock_wall_us(void);
uint64_t clock_wall_ms(void);

/* The time now as "2024-05-01T12:00:00Z". Returns `text`. */
#define CLOCK_TEXT_SIZE 32
char *clock_wall_text(char text[CLOCK_TEXT_SIZE]);

/* Seconds since 1970 in the user's time zone, "2024-05-01T14:00:00". Returns `text`. */
char *clock_local_text(uint64_t wall_s, char text[CLOCK_TEXT_SIZE]);

#endif
