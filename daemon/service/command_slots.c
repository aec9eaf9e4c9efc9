/* SPDX-License-Identifier: Apache-2.0 */
/* command_slots.c - see command_slots.h. */
#include "daemon/service/command_slots.h"

#include <stddef.h>

const char *command_slot_refusal(const struct command_slot *slot)
{
    unsigned most = slot->most - (slot->uid == 0 ? 0 : COMMAND_SLOTS_KEPT_FOR_ROOT);
    if (slot->all >= most)
        return "too many connections";
    if (!slot->exempt && slot->of_user >= COMMAND_SLOTS_PER_USER)
        return "too many connections of this user";
    return NULL;
}
