/* SPDX-License-Identifier: Apache-2.0 */
/*
 * engine_fixture.h - what the tests of the engine share: an echo, an engine that remembers its
 * log, tunnels with real ports, and waiting for something with a deadline against hanging.
 */
#ifndef TESTS_ENGINE_FIXTURE_H
#define TESTS_ENGINE_FIXTURE_H

#include <netinet/in.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <udptun/engine.h>

/* Against hanging only; everything awaited takes milliseconds. */
enum { DEADLINE_MS = 20000 };

/* ---- an echo target on 127.0.0.1 ------------------------------------------------------------- */

struct echo {
    int fd;
    uint16_t port;
    char place[32]; /* "127.0.0.1:PORT" */
    pthread_t thread;
};

void echo_start(struct echo *echo);
void echo_stop(struct echo *echo);

/* ---- an engine on a thread of its own ----------------------------------------------------------
 */

struct world {
    udptun_engine *engine;
    struct echo echo;
    pthread_mutex_t lock;
    char log[64 * 1024]; /* every line, newline-terminated */
    size_t log_size;
};

/* What callbacks noted about one tunnel. */
struct seen {
    pthread_mutex_t lock;
    char url[320];
    uint16_t port;
    unsigned ready, states;
    enum udptun_state last;
};

void world_start(struct world *w);
void world_stop(struct world *w);
bool world_logged(struct world *w, const char *text);
void world_wait_log(struct world *w, const char *text);

void seen_init(struct seen *seen);
void seen_attach(struct seen *seen, struct udptun_tunnel_config *config);

/* Defaults: a server on 127.0.0.1 whose flows all go to the echo, a local before it. */
struct udptun_tunnel_config server_config(struct world *w, struct seen *seen);
struct udptun_tunnel_config local_config(struct world *w, struct seen *seen, const char *server);
/* Must succeed. */
void configure(struct world *w, const struct udptun_tunnel_config *config);
void wait_state(struct world *w, const char *name, enum udptun_state state);
struct udptun_tunnel_status status_of(struct world *w, const char *name);
/* "127.0.0.1:PORT"; returns `text`. */
char *place_of(const struct seen *seen, char text[32]);

void nap(void); /* a few milliseconds, between two looks */

/* ---- a client of a udp:// listener -------------------------------------------------------------
 */

int udp_client(uint16_t port);
/* Send and wait for the same back; lost datagrams are sent again, as UDP clients do. */
void exchange(int fd, const void *data, size_t size);
/* A reply within a moment? For what must not come; the caller makes sure that it would. */
bool answered(int fd, const void *data, size_t size, int wait_ms);

#endif
