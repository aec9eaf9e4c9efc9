/* SPDX-License-Identifier: Apache-2.0 */
/* loop_private.h - what loop.c, timer.c and the files that fill the table share. */
#ifndef PLATFORM_LOOP_PRIVATE_H
#define PLATFORM_LOOP_PRIVATE_H

#include "daemon/platform/loop.h"

/* Call every timer that is due at now_us. One that is started meanwhile is for the next time. */
void timers_run(struct loop *loop);

/* Bring the host's timer forward to the earliest deadline. */
void loop_arm(struct loop *loop);

#endif
