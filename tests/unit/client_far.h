/* SPDX-License-Identifier: Apache-2.0 */
/*
 * client_far.h - the far end of libclient's tests, a daemon that misbehaves on purpose.
 *
 * It is a listening socket that the test itself serves, byte by byte, between two calls of
 * process(): the real daemon cannot be made to answer in halves or to hang up in the middle.
 */
#ifndef TESTS_UNIT_CLIENT_FAR_H
#define TESTS_UNIT_CLIENT_FAR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <udptun/client.h>

struct ev_loop;

struct far {
    char folder[32];
    char path[64];
    int listener;
    int fd;
};

/* What the callbacks saw, and what they are to do. */
struct seen {
    int calls;
    struct udptun_error error;
    char value[256];
    bool had_json;
    bool free_client;     /* free the client in the callback */
    uint64_t cancel;      /* cancel this one in the callback */
    struct ev_loop *loop; /* of a test that runs one */
    struct seen *call;    /* make a new call in the callback, seen by this one */
    int states;
    enum udptun_client_state last_state;
    int events;
    char event[256];
};

void far_listen(struct far *far);
int set_up(void **state);
void far_hang_up(struct far *far);
void far_stop(struct far *far);
int tear_down(void **state);
void far_accept(struct far *far);
void far_say_bytes(struct far *far, const char *text, size_t size);
void far_say(struct far *far, const char *text);
/* One read of what the client sent, as a string. */
const char *far_hear(struct far *far, char text[4096]);
void on_reply(void *arg, udptun_client *client, const struct udptun_client_reply *reply);
void on_state(void *arg, udptun_client *client, enum udptun_client_state state,
              const struct udptun_error *err);
void on_event(void *arg, udptun_client *client, const char *json);
udptun_client *client_to(const struct far *far, bool reconnect, struct seen *seen);
uint64_t call(udptun_client *client, const char *action, const char *parameters, struct seen *seen);

/* A test with a far end of its own. */
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

#endif
