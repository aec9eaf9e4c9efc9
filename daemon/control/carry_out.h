/* SPDX-License-Identifier: Apache-2.0 */
/* carry_out.h - having the engine run what a change wants, or again what it ran before. */
#ifndef CONTROL_CARRY_OUT_H
#define CONTROL_CARRY_OUT_H

#include "daemon/control/change.h"

/* Every edit, or none: 0, or a code and `c->err`, and what ran before runs again. What is to be
 * removed may only be stopped yet: change_end_removed() or change_put_back() follows. */
int change_carry_out(struct change *c);

/* Nothing can fail any more: end what is to be removed, and its sessions. */
void change_end_removed(struct change *c);

/* What ran before change_carry_out() is to run again. */
void change_put_back(struct change *c);

#endif
