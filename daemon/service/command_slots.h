/* SPDX-License-Identifier: Apache-2.0 */
/* command_slots.h - how many connections a command socket takes, and of whom. */
#ifndef SERVICE_COMMAND_SLOTS_H
#define SERVICE_COMMAND_SLOTS_H

#include <stdbool.h>
#include <stdint.h>

#define COMMAND_SLOTS_KEPT_FOR_ROOT 8
#define COMMAND_SLOTS_PER_USER      64 /* root and the daemon's own user excepted */

/* Seconds that a message may take from its first byte to its last. */
#define COMMAND_MESSAGE_TIME_S 10
/* Seconds that a client may leave answers unread. */
#define COMMAND_READER_TIME_S 10

/* One who wants to connect. */
struct command_slot {
    uint32_t uid;
    bool exempt;      /* the daemon's own user, or root */
    unsigned of_user; /* connections that this user has */
    unsigned all;     /* connections of all users */
    unsigned most;    /* that the socket takes */
};

/* Why the connection is refused; NULL: it is not. */
const char *command_slot_refusal(const struct command_slot *slot);

#endif
