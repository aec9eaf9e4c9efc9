/* SPDX-License-Identifier: Apache-2.0 */
/* change_run.h - having the engine run what a change wants, or again what it ran before. */
#ifndef CONTROL_CHANGE_RUN_H
#define CONTROL_CHANGE_RUN_H

#include "daemon/control/change/change.h"

/* Every edit, or none: 0, or a code and `c->err`, and what ran before runs again. What is to be
 * removed may only be stopped yet: change_end_removed() or change_put_back() follows. */
int change_run(struct change *c);

/* Nothing can fail any more: end what is to be removed, and its sessions. */
void change_end_removed(struct change *c);

/* What ran before change_run() is to run again. */
void change_put_back(struct change *c);

#endif
