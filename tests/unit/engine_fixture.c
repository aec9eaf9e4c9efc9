/* SPDX-License-Identifier: Apache-2.0 */
/* engine_fixture.c - what the tests of the engine share. */
#include "tests/unit/engine_fixture.h"

#include <arpa/inet.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

/* ---- echo ---------------------------------------------------------------------------------------
 */

static void *run_echo(void *arg)
{
    struct echo *echo = (struct echo *)arg;
    static _Thread_local char data[65536];
    struct sockaddr_in from;
    for (;;) {
        socklen_t size = sizeof from;
        ssize_t got =
            recvfrom(echo->fd, data, sizeof data, 0, (struct sockaddr *)(void *)&from, &size);
        if (got < 0 || (got == 4 && memcmp(data, "stop", 4) == 0))
            return NULL;
        sendto(echo->fd, data, (size_t)got, 0, (struct sockaddr *)(void *)&from, size);
    }
}

static struct sockaddr_in loopback(uint16_t port)
{
    struct sockaddr_in sa = {.sin_family = AF_INET, .sin_port = htons(port)};
    sa.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return sa;
}

void echo_start(struct echo *echo)
{
    struct sockaddr_in sa = loopback(0);
    socklen_t size = sizeof sa;
    echo->fd = socket(AF_INET, SOCK_DGRAM, 0);
    assert_true(echo->fd >= 0);
    assert_int_equal(bind(echo->fd, (struct sockaddr *)(void *)&sa, size), 0);
    assert_int_equal(getsockname(echo->fd, (struct sockaddr *)(void *)&sa, &size), 0);
    echo->port = ntohs(sa.sin_port);
    snprintf(echo->place, sizeof echo->place, "127.0.0.1:%u", echo->port);
    assert_int_equal(pthread_create(&echo->thread, NULL, run_echo, echo), 0);
}

void echo_stop(struct echo *echo)
{
    int fd = udp_client(echo->port);
    struct timespec until;
    do { /* a full socket drops the word */
        assert_int_equal(send(fd, "stop", 4, 0), 4);
        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_sec++;
    } while (pthread_timedjoin_np(echo->thread, NULL, &until) != 0);
    close(fd);
    close(echo->fd);
}

/* ---- the engine ---------------------------------------------------------------------------------
 */

static void on_log(void *arg, enum udptun_log_level level, const char *module, const char *text)
{
    (void)level;
    struct world *w = (struct world *)arg;
    pthread_mutex_lock(&w->lock);
    int used =
        snprintf(w->log + w->log_size, sizeof w->log - w->log_size, "%s: %s\n", module, text);
    if (used > 0 && (size_t)used < sizeof w->log - w->log_size)
        w->log_size += (size_t)used;
    pthread_mutex_unlock(&w->lock);
}

void world_start(struct world *w)
{
    memset(w, 0, sizeof *w);
    pthread_mutex_init(&w->lock, NULL);
    echo_start(&w->echo);
    struct udptun_engine_config config;
    struct udptun_error err;
    udptun_engine_config_init(&config);
    config.log = on_log;
    config.arg = w;
    w->engine = udptun_engine_new(&config, &err);
    assert_non_null(w->engine);
}

void world_stop(struct world *w)
{
    udptun_engine_free(w->engine);
    echo_stop(&w->echo);
    pthread_mutex_destroy(&w->lock);
}

bool world_logged(struct world *w, const char *text)
{
    pthread_mutex_lock(&w->lock);
    bool found = strstr(w->log, text) != NULL;
    pthread_mutex_unlock(&w->lock);
    return found;
}

void nap(void)
{
    struct timespec pause = {0, 2000000};
    nanosleep(&pause, NULL);
}

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

void world_wait_log(struct world *w, const char *text)
{
    int64_t end_ms = now_ms() + DEADLINE_MS;
    while (!world_logged(w, text)) {
        if (now_ms() > end_ms)
            fail_msg("never logged: '%s', but:\n%s", text, w->log);
        nap();
    }
}

/* ---- tunnels ------------------------------------------------------------------------------------
 */

static void on_ready(void *arg, const char *name, const struct udptun_bound *bounds, size_t count)
{
    (void)name;
    struct seen *seen = (struct seen *)arg;
    pthread_mutex_lock(&seen->lock);
    seen->ready++;
    if (count > 0) {
        snprintf(seen->url, sizeof seen->url, "%s", bounds[0].url);
        seen->port = bounds[0].address->port;
    }
    pthread_mutex_unlock(&seen->lock);
}

static void on_state(void *arg, const char *name, enum udptun_state state, const char *reason)
{
    (void)name;
    (void)reason;
    struct seen *seen = (struct seen *)arg;
    pthread_mutex_lock(&seen->lock);
    seen->states++;
    seen->last = state;
    pthread_mutex_unlock(&seen->lock);
}

void seen_init(struct seen *seen)
{
    memset(seen, 0, sizeof *seen);
    pthread_mutex_init(&seen->lock, NULL);
}

void seen_attach(struct seen *seen, struct udptun_tunnel_config *config)
{
    config->callbacks.arg = seen;
    config->callbacks.ready = on_ready;
    config->callbacks.state = on_state;
}

struct udptun_tunnel_config server_config(struct world *w, struct seen *seen)
{
    struct udptun_tunnel_config config;
    udptun_tunnel_config_init(&config, UDPTUN_SERVER);
    config.name = "server";
    config.listen = "127.0.0.1:0";
    config.target = w->echo.place;
    seen_init(seen);
    seen_attach(seen, &config);
    return config;
}

struct udptun_tunnel_config local_config(struct world *w, struct seen *seen, const char *server)
{
    struct udptun_tunnel_config config;
    udptun_tunnel_config_init(&config, UDPTUN_LOCAL);
    config.name = "local";
    config.listen = "udp://127.0.0.1:0";
    config.target = w->echo.place;
    config.server = server;
    config.connections = 2;
    seen_init(seen);
    seen_attach(seen, &config);
    return config;
}

void configure(struct world *w, const struct udptun_tunnel_config *config)
{
    struct udptun_error err = {0};
    if (udptun_configure(w->engine, config, NULL, &err) != UDPTUN_OK)
        fail_msg("%s", err.message);
}

struct udptun_tunnel_status status_of(struct world *w, const char *name)
{
    struct udptun_tunnel_status status;
    assert_int_equal(udptun_status(w->engine, name, &status), UDPTUN_OK);
    return status;
}

void wait_state(struct world *w, const char *name, enum udptun_state state)
{
    int64_t end_ms = now_ms() + DEADLINE_MS;
    for (;;) {
        struct udptun_tunnel_status status = status_of(w, name);
        if (status.state == state)
            return;
        if (now_ms() > end_ms)
            fail_msg("%s is %s instead of %s: %s", name, udptun_state_name(status.state),
                     udptun_state_name(state), status.last_error);
        nap();
    }
}

char *place_of(const struct seen *seen, char text[32])
{
    snprintf(text, 32, "127.0.0.1:%u", seen->port);
    return text;
}

/* ---- a client -----------------------------------------------------------------------------------
 */

int udp_client(uint16_t port)
{
    struct sockaddr_in sa = loopback(port);
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (struct sockaddr *)(void *)&sa, sizeof sa), 0);
    return fd;
}

bool answered(int fd, const void *data, size_t size, int wait_ms)
{
    static _Thread_local char back[65536];
    assert_int_equal(send(fd, data, size, 0), (ssize_t)size);
    struct pollfd ready = {.fd = fd, .events = POLLIN};
    if (poll(&ready, 1, wait_ms) != 1)
        return false;
    ssize_t got = recv(fd, back, sizeof back, 0);
    return got == (ssize_t)size && memcmp(back, data, size) == 0;
}

void exchange(int fd, const void *data, size_t size)
{
    int64_t end_ms = now_ms() + DEADLINE_MS;
    while (!answered(fd, data, size, 500))
        if (now_ms() > end_ms)
            fail_msg("no echo of %zu bytes", size);
}
