/* SPDX-License-Identifier: Apache-2.0 */
/* inbox.c - see inbox.h; where an object ends is the scanner's business (proto/control/scan.h). */
#include "libclient/inbox.h"

#include <stdlib.h>
#include <string.h>

#include <udptun/error.h>

#define FIRST_ROOM 16384

void inbox_init(struct inbox *inbox, size_t limit)
{
    memset(inbox, 0, sizeof *inbox);
    inbox->limit = limit;
    inbox_clear(inbox);
}

void inbox_fini(struct inbox *inbox)
{
    free(inbox->data);
    inbox->data = NULL;
}

void inbox_clear(struct inbox *inbox)
{
    inbox->used = inbox->start = inbox->scanned = inbox->hidden_at = 0;
    scan_init(&inbox->scan);
    inbox->scan.max_size = inbox->limit;
}

/* Drop what was handed out. */
static void inbox_compact(struct inbox *inbox)
{
    if (inbox->start == 0)
        return;
    memmove(inbox->data, inbox->data + inbox->start, inbox->used - inbox->start);
    inbox->used -= inbox->start;
    inbox->scanned -= inbox->start;
    inbox->start = 0;
}

char *inbox_room(struct inbox *inbox, size_t *size)
{
    inbox_compact(inbox);
    /* Doubled when less than half is free, so that a long reply is not read in crumbs. */
    if (inbox->room < 2 * (inbox->used + 1)) {
        size_t room = inbox->room ? inbox->room * 2 : FIRST_ROOM;
        char *data = realloc(inbox->data, room);
        if (!data)
            return NULL;
        inbox->data = data;
        inbox->room = room;
    }
    *size = inbox->room - inbox->used - 1;
    return inbox->data + inbox->used;
}

void inbox_filled(struct inbox *inbox, size_t size)
{
    inbox->used += size;
}

int inbox_next(struct inbox *inbox, char **text, size_t *size)
{
    /* The byte behind the object handed out last was a NUL for its reader. */
    if (inbox->hidden_at) {
        inbox->data[inbox->hidden_at] = inbox->hidden;
        inbox->hidden_at = 0;
    }
    if (inbox->scanned == inbox->used)
        return 0;

    size_t used, skipped;
    enum scan_result result = scan_feed(&inbox->scan, (const uint8_t *)inbox->data + inbox->scanned,
                                        inbox->used - inbox->scanned, &used, &skipped);
    if (inbox->scan.encoding == ENCODING_PROTOBUF)
        return UDPTUN_E_BAD_REQUEST;
    inbox->start += inbox->start == inbox->scanned ? skipped : 0;
    inbox->scanned += used;
    switch (result) {
    case SCAN_MORE:
        return 0;
    case SCAN_MESSAGE:
        *text = inbox->data + inbox->start;
        *size = inbox->scanned - inbox->start;
        inbox->start = inbox->scanned;
        inbox->hidden_at = inbox->scanned;
        inbox->hidden = inbox->data[inbox->scanned];
        inbox->data[inbox->scanned] = '\0';
        return 1;
    case SCAN_TOO_LARGE:
        return UDPTUN_E_LIMIT;
    case SCAN_TOO_DEEP:
    case SCAN_GARBAGE:
        break;
    }
    return UDPTUN_E_BAD_REQUEST;
}
