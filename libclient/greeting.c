/* SPDX-License-Identifier: Apache-2.0 */
/*
 * greeting.c - what the daemon can do, asked before something is sent that an older one refuses.
 *
 * A request with a timeout is void at the daemon when the timeout is over, so that it is not
 * carried out after its caller was told TIMEOUT. An older daemon refuses that field, and each
 * daemon has a clock of its own. So the first such request of a connection waits for the reply to a
 * `hello` of ours. A daemon that stands still does not get the request at all. Requests without a
 * timeout are sent at once.
 */
#include "libclient/internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The daemon's deadline is a little before ours, so that what it begins in time is answered in
 * time: a tenth of what is left, and at most this. */
#define ANSWER_TIME_MS 250

bool greeting_holds(const struct udptun_client *client, const struct request *request)
{
    return client->greeting != GREETING_ANSWERED && request->sent == 0 &&
           request->kind != REQUEST_GREETING &&
           (request->deadline_ms >= 0 || request->kind == REQUEST_CANCEL);
}

void greeting_send(struct udptun_client *client, struct request *before)
{
    static const char text[] = "{\"action\":\"hello\",\"id\":0}\n";
    struct request *request = calloc(1, sizeof *request);
    client->greeting = GREETING_ANSWERED; /* without memory we know of nothing, and go on */
    if (!request)
        return;
    request->text = strdup(text);
    if (!request->text) {
        free(request);
        return;
    }
    request->kind = REQUEST_GREETING;
    request->size = sizeof text - 1;
    request->deadline_ms = -1;
    list_insert_before(&before->node, &request->node);
    client->greeting = GREETING_SENT;
}

static bool has_feature(const json_t *features, const char *name)
{
    size_t i;
    const json_t *one;
    json_array_foreach(features, i, one)
    {
        if (json_is_string(one) && strcmp(json_string_value(one), name) == 0)
            return true;
    }
    return false;
}

void greeting_answered(struct udptun_client *client, const json_t *reply)
{
    const json_t *hello = json_object_get(reply, "returnValue");
    const json_t *features = json_object_get(hello, "features");
    const json_t *clock = json_object_get(hello, "clock");
    client->greeting = GREETING_ANSWERED;
    client->can_cancel = has_feature(features, "cancel");
    client->has_deadlines = has_feature(features, "deadline") && json_is_integer(clock);
    /* The daemon read its clock before now, so what we make of it is rather too early. */
    client->clock_ahead_ms = (int64_t)json_integer_value(clock) - client_now_ms();
}

void greeting_forget(struct udptun_client *client)
{
    client->greeting = GREETING_NONE;
    client->can_cancel = client->has_deadlines = false;
}

bool greeting_allows(struct udptun_client *client, struct request *request)
{
    if (request->sent > 0)
        return true;
    if (request->kind == REQUEST_CANCEL)
        return client->can_cancel;
    if (!client->has_deadlines || request->deadline_ms < 0)
        return true;
    int64_t left_ms = request->deadline_ms - client_now_ms();
    int64_t answer_ms = left_ms / 10 < ANSWER_TIME_MS ? left_ms / 10 : ANSWER_TIME_MS;
    int64_t deadline_ms = request->deadline_ms - answer_ms + client->clock_ahead_ms;
    /* In the place of "}\n"; request_accept() left room. */
    int size = snprintf(request->text + request->size - 2, DEADLINE_ROOM,
                        ",\"deadline\":%" PRId64 "}\n", deadline_ms > 0 ? deadline_ms : 0);
    request->size = request->size - 2 + (size_t)size;
    return true;
}
