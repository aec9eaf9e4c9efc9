/* SPDX-License-Identifier: Apache-2.0 */
/*
 * loop.h - sockets and timers on any event loop.
 *
 * `struct loop` is one user's side of an event loop: an engine's, or a daemon's command sockets.
 * Below it is a table of functions (<udptun/loop.h>), which loop_ev.c fills on libev and an app on
 * a loop of its own. Any number of them share one event loop.
 *
 * Theory of operation
 *
 * The host calls loop_ready() for each socket that is ready, loop_due() when its timer ran out, and
 * loop_turn() at the end. The first of these opens a *batch*: the clock is read, once. loop_turn()
 * calls the user's `turn`, closes the batch, and tells the host the earliest deadline.
 *
 * - A watch is a socket with a callback. The host knows it by a token on the heap, which outlives
 *   the watch until the end of the batch, so that events which the host fetched before the watch
 *   was stopped find out that it is gone.
 * - The timers are a heap that costs no memory beyond the timers themselves, so starting one cannot
 *   fail. A timer that is put off (the usual case: a deadline that moves as data flows) keeps its
 *   place and is looked at again when the old time comes; the host's timer likewise is only ever
 *   brought forward, and set again when it has run out.
 * - Everything may be called from anywhere on the loop's thread: a watch or a timer may stop, start
 *   and free itself in its own callback.
 */
#ifndef PLATFORM_LOOP_H
#define PLATFORM_LOOP_H

#include <stdbool.h>

#include <udptun/error.h>
#include <udptun/loop.h>

enum {
    LOOP_READ = UDPTUN_LOOP_READ,
    LOOP_WRITE = UDPTUN_LOOP_WRITE,
};

struct ev_loop;
struct loop_host;
struct loop_token;
struct timer;

struct loop {
    struct udptun_loop table;
    struct loop_host *host; /* who fills the table when it is one of ours; NULL: an app */
    void (*host_free)(struct loop_host *host);
    void (*turn)(void *arg); /* the user's end of a batch; NULL: none */
    void *arg;               /* of `turn` */
    uint64_t now_us;         /* clock_us() at the start of this batch, or later */
    uint64_t armed_us;       /* when the host's timer runs out; LOOP_NEVER_US: it is off */
    struct timer *timers;    /* the root of a pairing heap, the earliest; NULL: none */
    struct loop_token *gone; /* tokens of stopped watches, freed at the end of the batch */
    bool in_batch;           /* now_us is fresh, and loop_turn() will follow */
    bool in_due;             /* loop_due() is on the stack */
    bool turn_asked;         /* loop_turn_soon() has asked the host for a pass */
    bool turns_always;       /* the host calls loop_turn() before each wait, asked or not */
};

#define LOOP_NEVER_US UDPTUN_LOOP_NEVER

/* ---- life ---------------------------------------------------------------------------------- */

/* On the table that an app has filled, which is copied. */
void loop_init(struct loop *loop, const struct udptun_loop *table, void (*turn)(void *arg),
               void *arg);
/* On a libev loop (loop_ev.c). UDPTUN_OK or UDPTUN_E_NOMEM. */
int loop_init_ev(struct loop *loop, struct ev_loop *ev, void (*turn)(void *arg), void *arg);
/* On a new event loop of this system's best kind, for loop_run() and loop_stop(). UDPTUN_OK,
 * UDPTUN_E_NOMEM, UDPTUN_E_SYSTEM. */
int loop_init_own(struct loop *loop, void (*turn)(void *arg), void *arg);
/* Every watch and timer has been stopped. Harmless on a loop that is all zero. */
void loop_fini(struct loop *loop);

/* The libev loop below, for a library that takes one; NULL: there is none. */
struct ev_loop *loop_native(const struct loop *loop);

/* Run until loop_stop(), for loop_init_own(). loop_stop() is called on the loop's thread. */
void loop_run(struct loop *loop);
void loop_stop(struct loop *loop);

/* ---- what the host calls ------------------------------------------------------------------- */

void loop_ready(struct loop *loop, void *token, unsigned events);
void loop_due(struct loop *loop);
void loop_turn(struct loop *loop);

/* ---- what the user calls ------------------------------------------------------------------- */

/* Make sure that loop_turn() comes: something was left for it outside of a batch. */
void loop_turn_soon(struct loop *loop);
/* The same from any thread. */
void loop_wake(struct loop *loop);
/* From now on loop_turn() comes only behind a batch and when it was asked for, on any host: for a
 * user that shares its event loop with another who has the traffic. */
void loop_turn_when_asked(struct loop *loop);
/* Read the clock into now_us, for a call that does not come from the loop. */
void loop_refresh(struct loop *loop);

/* ---- watches ------------------------------------------------------------------------------- */

/* `events`: those of LOOP_READ and LOOP_WRITE that are asked for and ready. */
typedef void watch_ready(void *arg, unsigned events);

struct io_watch {
    struct loop *loop;
    watch_ready *ready;
    void *arg;
    struct loop_token *token; /* NULL: not started */
    udptun_socket socket;     /* of the last start */
    unsigned events;          /* what is asked for now, 0 when it is not started */
};

void watch_init(struct io_watch *w, struct loop *loop, watch_ready *ready, void *arg);
/* UDPTUN_OK, or UDPTUN_E_NOMEM: the host cannot watch it. Not while it is started. */
int watch_start(struct io_watch *w, udptun_socket socket, unsigned events);
/* Ask for `events` from now on; 0 asks for nothing. Only while it is started. */
void watch_set(struct io_watch *w, unsigned events);
/* Harmless when it is not started, or all zero. To be called before the socket is closed. */
void watch_stop(struct io_watch *w);

static inline bool watch_is_on(const struct io_watch *w)
{
    return w->token != NULL;
}

/* ---- timers -------------------------------------------------------------------------------- */

typedef void timer_due(void *arg);

struct timer {
    struct loop *loop;
    timer_due *due;
    void *arg;
    uint64_t at_us;         /* when it is due */
    uint64_t place_us;      /* where it is in the heap: at_us or earlier */
    struct timer *child;    /* the first of those below it in the heap */
    struct timer *next;     /* its next sibling */
    struct timer *previous; /* its previous sibling; the first child's parent; NULL: the root */
    bool active;
};

void timer_init(struct timer *t, struct loop *loop, timer_due *due, void *arg);
/* Due once in `after_us` from now, whatever was set before. LOOP_NEVER_US stops it. */
void timer_start(struct timer *t, uint64_t after_us);
/* Harmless when it is not running, or all zero. */
void timer_stop(struct timer *t);

static inline bool timer_is_on(const struct timer *t)
{
    return t->active;
}

#endif
