/* SPDX-License-Identifier: Apache-2.0 */
/*
 * loop.h - the event loop that an engine runs on, as a table of functions that an app fills.
 *
 * The engine asks the loop through `struct udptun_loop`; the loop tells the engine through three
 * functions of <udptun/engine.h>, all of them on the loop's thread:
 *
 *     udptun_engine_ready(engine, token, events)   a watched socket is ready
 *     udptun_engine_due(engine)                    the timer has run out
 *     udptun_engine_turn(engine)                   that was the batch: send what came of it
 *
 * A pass of a loop is: wait; ready() for each socket that is ready; due() if the timer ran out;
 * turn() once. Calling turn() more often costs time and is otherwise harmless, also when nothing
 * happened. The engine calls the table from inside these three and from inside each other function
 * of <udptun/engine.h>, on the thread that called it; `wake` alone may be called on any thread.
 *
 * Sockets are level-triggered: the loop reports a socket in each pass for as long as it is ready.
 */
#ifndef UDPTUN_LOOP_H
#define UDPTUN_LOOP_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A socket of the system: a descriptor, on Windows a SOCKET. */
#ifdef _WIN32
typedef uintptr_t udptun_socket;
#else
typedef int udptun_socket;
#endif

/* Events, as a bit mask. */
#define UDPTUN_LOOP_READ  1u /* can be read, or has ended, or has an error to tell */
#define UDPTUN_LOOP_WRITE 2u /* can be written, or has an error to tell */

/* As `after_us`: no timer at all. */
#define UDPTUN_LOOP_NEVER UINT64_MAX

struct udptun_loop {
    /* The size of this struct in bytes, as the app was compiled. Set it to sizeof. */
    size_t size;

    /* The app's own pointer, the first argument of each function below. */
    void *arg;

    /*
     * Watch `socket` for `events`, which may be 0 (watch nothing yet). `token` is what ready() is
     * to be called with. Returns the app's own name for this watch, or NULL if it cannot watch
     * (out of memory); the engine then gives up what it wanted the socket for. A socket is watched
     * once at a time.
     */
    void *(*watch)(void *arg, udptun_socket socket, unsigned events, void *token);

    /*
     * Watch for `events` from now on. With 0 the watch stays, and nothing may be reported for it,
     * not even an error or an end (with epoll that takes EPOLL_CTL_DEL, for EPOLLERR and EPOLLHUP
     * cannot be masked).
     */
    void (*change)(void *arg, void *watch, unsigned events);

    /*
     * End the watch; the socket is closed right after. What the loop had already fetched for its
     * token may still be reported until the next turn(); the engine ignores it.
     */
    void (*unwatch)(void *arg, void *watch);

    /*
     * The engine's one timer: call due() and turn() when `after_us` microseconds have passed, not
     * earlier. It replaces what was set before. 0: in the next pass. UDPTUN_LOOP_NEVER: no timer.
     * A timer that has run out stays off until it is set again.
     */
    void (*timer)(void *arg, uint64_t after_us);

    /*
     * Called on any thread: call turn() soon on the loop's thread. May be NULL if no other thread
     * ever calls a function of the engine.
     */
    void (*wake)(void *arg);
};

#ifdef __cplusplus
}
#endif

#endif
