/* SPDX-License-Identifier: Apache-2.0 */
/* wait.c - see wait.h. Nothing is answered from inside an engine callback: it only sets off
 * the timer `look`, and the loop looks what there is to tell. */
#include "daemon/control/change/wait.h"

#include <stdlib.h>
#include <string.h>

#include "daemon/control/socket/command_socket.h"
#include "daemon/control/store/state.h"

struct wait {
    struct list node;
    struct call *call;
    wait_answer *answer;
    char name[65];
    bool changed;
    double seconds;
    struct timer look;  /* set off when there may be something to tell */
    struct timer limit; /* the time is over */
};

void waits_init(struct waits *w)
{
    list_init(&w->all);
}

static bool wait_is_up(enum udptun_state state)
{
    return state == UDPTUN_ESTABLISHED || state == UDPTUN_LISTENING || state == UDPTUN_DISABLED;
}

/* Ends the wait; the call is the caller's again. */
static struct call *wait_end(struct wait *w)
{
    struct call *call = w->call;
    timer_stop(&w->look);
    timer_stop(&w->limit);
    list_remove(&w->node);
    free(w);
    call->give_up = NULL;
    return call;
}

/* False: neither a tunnel nor an instance has that name. */
static bool wait_look(udptun_engine *engine, const char *name, enum udptun_state *state,
                      char last_error[256])
{
    struct udptun_tunnel_status tunnel;
    struct udptun_tun2socks_status tun2socks;
    if (udptun_status(engine, name, &tunnel) == 0) {
        *state = tunnel.state;
        memcpy(last_error, tunnel.last_error, sizeof tunnel.last_error);
    } else if (udptun_tun2socks_status(engine, name, &tun2socks) == 0) {
        *state = tun2socks.state;
        memcpy(last_error, tun2socks.last_error, sizeof tun2socks.last_error);
    } else {
        return false;
    }
    return true;
}

/* Answer if there is something to answer, or the time is over. */
static void wait_settle(struct wait *w, bool is_over)
{
    struct control *control = w->call->control;
    struct udptun_error err;
    enum udptun_state state;
    char last_error[256];
    if (!wait_look(control->engine, w->name, &state, last_error)) {
        error_set(&err, UDPTUN_E_NOT_FOUND, NULL, "%s was removed meanwhile", w->name);
        call_fail(wait_end(w), &err);
    } else if (wait_is_up(state)) {
        char name[sizeof w->name];
        bool changed = w->changed;
        memcpy(name, w->name, sizeof name);
        wait_answer *answer = w->answer;
        answer(wait_end(w), name, changed);
    } else if (is_over) {
        error_set(&err, UDPTUN_E_TIMEOUT, "parameters.wait", "%s is %s after %g s%s%.150s", w->name,
                  udptun_state_name(state), w->seconds, last_error[0] ? ": " : "", last_error);
        call_fail(wait_end(w), &err);
    }
}

/* The client has gone, or withdrew the wait: what was configured stays. */
static void on_give_up(struct call *call, void *arg)
{
    struct udptun_error err;
    (void)call;
    error_set(&err, UDPTUN_E_TIMEOUT, "parameters.wait", "parameters.wait: cancelled");
    call_fail(wait_end(arg), &err);
}

int waits_check(const struct call *call, struct udptun_error *err)
{
    unsigned of_connection = 0, of_user = 0;
    LIST_FOREACH (node, &call->control->waits->all) {
        const struct command_conn *conn = list_entry(node, struct wait, node)->call->conn;
        of_connection += conn == call->conn;
        of_user += conn->peer.uid == call->conn->peer.uid;
    }
    if (of_connection >= WAITS_PER_CONNECTION)
        return error_set(err, UDPTUN_E_LIMIT, "parameters.wait",
                         "parameters.wait: this connection has %d waits already",
                         WAITS_PER_CONNECTION);
    if (of_user >= WAITS_PER_USER)
        return error_set(err, UDPTUN_E_LIMIT, "parameters.wait",
                         "parameters.wait: user %u has %d waits already",
                         (unsigned)call->conn->peer.uid, WAITS_PER_USER);
    return 0;
}

static void on_look(void *arg)
{
    wait_settle(arg, false);
}

static void on_limit(void *arg)
{
    wait_settle(arg, true);
}

void wait_start(struct call *call, const char *name, bool changed, double seconds,
                wait_answer *answer)
{
    struct control *control = call->control;
    /* Without a client nobody is answered. */
    struct wait *w = call->conn ? calloc(1, sizeof *w) : NULL;
    if (!w) {
        answer(call, name, changed);
        return;
    }
    w->call = call;
    w->answer = answer;
    strcpy(w->name, name);
    w->changed = changed;
    w->seconds = seconds;
    timer_init(&w->look, control->loop, on_look, w);
    timer_init(&w->limit, control->loop, on_limit, w);
    list_append(&control->waits->all, &w->node);
    timer_start(&w->limit, (uint64_t)(seconds * 1e6));
    timer_start(&w->look, 0); /* it may be up already */
    call->give_up = on_give_up;
    call->give_up_arg = w;
    call_step_aside(call);
}

void wait_state(struct control *control, const char *name, enum udptun_state state)
{
    LIST_FOREACH (node, &control->waits->all) {
        struct wait *w = list_entry(node, struct wait, node);
        if (wait_is_up(state) && strcmp(w->name, name) == 0)
            timer_start(&w->look, 0);
    }
}

void waits_stop(struct control *control)
{
    struct udptun_error err;
    error_set(&err, UDPTUN_E_UNEXPECTED, NULL, "the daemon is stopping");
    while (!list_empty(&control->waits->all))
        call_fail(wait_end(list_entry(control->waits->all.next, struct wait, node)), &err);
}
