/* SPDX-License-Identifier: Apache-2.0 */
/* record.h - what a change writes to the disk, and writing again what could not be written. */
#ifndef CONTROL_RECORD_H
#define CONTROL_RECORD_H

#include "daemon/control/change/change.h"
#include "daemon/control/store/state_json.h"

/* What the disk is to learn (store/state_json.h) when the change is done: its edits, and what could
 * not be written before. NULL when memory is short. */
json_t *change_record(const struct change *c);

/* Everything that the disk is to have when the change is done. */
json_t *change_record_all(const struct change *c);

/* Start a change that writes what could not be written, unless another one is under way, which does
 * that as well. */
void change_retry(struct control *control);

#endif
