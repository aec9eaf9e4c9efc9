/* SPDX-License-Identifier: Apache-2.0 */
/* test_engine_tunnel.c - udp-local and udp-server of one process, over real sockets. */
#include <ev.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/unit/engine_fixture.h"

static const uint8_t key_a[32] = {1};
static const uint8_t key_b[32] = {2};

/* A server, a local before it and a client of the local. */
struct pair {
    struct world w;
    struct seen server_seen, local_seen;
    struct udptun_tunnel_config server, local;
    char place[32];
    int client;
};

static void pair_start(struct pair *p)
{
    world_start(&p->w);
    p->server = server_config(&p->w, &p->server_seen);
    configure(&p->w, &p->server);
    p->local = local_config(&p->w, &p->local_seen, place_of(&p->server_seen, p->place));
    configure(&p->w, &p->local);
    p->client = udp_client(p->local_seen.port);
}

static void pair_stop(struct pair *p)
{
    if (p->client >= 0)
        close(p->client);
    world_stop(&p->w);
}

static void datagrams_of_every_size_pass_unchanged(void **state)
{
    (void)state;
    static const size_t sizes[] = {0, 1, 2, 1472, 1473, 9000, 65507};
    static char data[65507];
    struct pair p;
    pair_start(&p);
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (char)(i * 7 + i / 251);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        exchange(p.client, data, sizes[i]);
    wait_state(&p.w, "local", UDPTUN_ESTABLISHED);
    struct udptun_tunnel_status status = status_of(&p.w, "server");
    assert_int_equal(status.state, UDPTUN_LISTENING);
    assert_int_equal(status.sessions, 1);
    assert_int_equal(status.flows, 1);
    assert_true(status.counters.tx_bytes > 65507);
    assert_int_equal(p.local_seen.ready, 1);
    pair_stop(&p);
    assert_int_equal(p.local_seen.last, UDPTUN_DISABLED);
}

/* 127.0.0.0/8 is all this host's, so a host with several addresses is at hand. */
#ifndef UDP_IO_IS_PORTABLE
static void a_wildcard_listener_answers_from_where_it_was_asked(void **state)
{
    (void)state;
    struct pair p;
    char place[32], data[8];
    world_start(&p.w);
    p.server = server_config(&p.w, &p.server_seen);
    configure(&p.w, &p.server);
    p.local = local_config(&p.w, &p.local_seen, place_of(&p.server_seen, place));
    p.local.listen = "udp://0.0.0.0:0";
    configure(&p.w, &p.local);
    p.client = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(p.local_seen.port)}, from;
    for (uint32_t i = 0; i < 20; i++) {
        socklen_t size = sizeof from;
        to.sin_addr.s_addr = htonl(0x7f000001 + i % 4 * 0x100);
        assert_int_equal(sendto(p.client, "where?", 6, 0, (struct sockaddr *)&to, sizeof to), 6);
        assert_int_equal(recvfrom(p.client, data, sizeof data, 0, (struct sockaddr *)&from, &size),
                         6);
        assert_int_equal(from.sin_addr.s_addr, to.sin_addr.s_addr);
        assert_int_equal(from.sin_port, to.sin_port);
    }
    assert_int_equal(status_of(&p.w, "local").flows, 1);
    pair_stop(&p);
}
#endif

static void each_source_gets_its_own_replies(void **state)
{
    (void)state;
    enum { SOURCES = 200 };
    int clients[SOURCES];
    struct pair p;
    pair_start(&p);
    for (int i = 0; i < SOURCES; i++) {
        clients[i] = udp_client(p.local_seen.port);
        assert_int_equal(send(clients[i], &i, sizeof i, 0), sizeof i);
    }
    for (int i = 0; i < SOURCES; i++) {
        exchange(clients[i], &i, sizeof i);
        close(clients[i]);
    }
    assert_int_equal(status_of(&p.w, "local").flows, SOURCES);
    assert_int_equal(status_of(&p.w, "server").flows, SOURCES);
    pair_stop(&p);
}

static void wait_flows(struct pair *p, const char *name, uint64_t flows)
{
    for (int left = DEADLINE_MS / 5; status_of(&p->w, name).flows != flows; left--) {
        assert_true(left > 0);
        nap();
    }
}

static void a_lower_cap_evicts_what_is_beyond_it(void **state)
{
    (void)state;
    enum { SOURCES = 20, FEW = 7, FEWER = 3 };
    int clients[SOURCES];
    struct pair p;
    pair_start(&p);
    for (int i = 0; i < SOURCES; i++) {
        clients[i] = udp_client(p.local_seen.port);
        exchange(clients[i], &i, sizeof i);
    }
    p.local.max_flows = FEW;
    configure(&p.w, &p.local);
    wait_flows(&p, "local", FEW);
    wait_flows(&p, "server", FEW);
    p.server.max_flows_per_session = FEWER;
    configure(&p.w, &p.server);
    wait_flows(&p, "server", FEWER);
    wait_flows(&p, "local", FEWER);
    exchange(clients[SOURCES - 1], "last", 4); /* the latest stayed, and no other came */
    assert_int_equal(status_of(&p.w, "server").flows, FEWER);
    for (int i = 0; i < SOURCES; i++)
        close(clients[i]);
    pair_stop(&p);
}

struct listing {
    size_t count;
    char last[64];
};

static void list_flow(void *arg, const struct udptun_flow_status *flow)
{
    struct listing *l = (struct listing *)arg;
    l->count++;
    snprintf(l->last, sizeof l->last, "%s", flow->id);
    assert_true(flow->external[0] || flow->counters.tx_packets == 0);
}

static void flows_are_listed_page_by_page(void **state)
{
    (void)state;
    enum { SOURCES = 25, PAGE = 10 };
    struct pair p;
    struct listing l = {0};
    bool more = true;
    pair_start(&p);
    int clients[SOURCES]; /* open to the end, so that no two have the same port */
    for (int i = 0; i < SOURCES; i++) {
        clients[i] = udp_client(p.local_seen.port);
        exchange(clients[i], "x", 1);
    }
    for (size_t page = 1; more; page++) {
        assert_int_equal(udptun_each_flow(p.w.engine, "server", l.count ? l.last : NULL, PAGE,
                                          list_flow, &l, &more),
                         UDPTUN_OK);
        assert_int_equal(l.count, page * PAGE < SOURCES ? page * PAGE : SOURCES);
    }
    assert_int_equal(l.count, SOURCES);
    for (int i = 0; i < SOURCES; i++)
        close(clients[i]);
    assert_int_equal(udptun_each_flow(p.w.engine, "server", "nonsense", 1, list_flow, &l, NULL),
                     UDPTUN_E_INVALID);
    assert_int_equal(udptun_each_flow(p.w.engine, "none", NULL, 1, list_flow, &l, NULL),
                     UDPTUN_E_NOT_FOUND);
    pair_stop(&p);
}

static void a_unix_socket_carries_it(void **state)
{
    (void)state;
    char folder[] = "/tmp/udptun-test-XXXXXX", path[64], url[80];
    struct pair p;
    struct udptun_error err;
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/s", folder);
    snprintf(url, sizeof url, "unix:%s", path);
    world_start(&p.w);
    p.server = server_config(&p.w, &p.server_seen);
    p.server.listen = url;
    configure(&p.w, &p.server);
    p.local = local_config(&p.w, &p.local_seen, url);
    configure(&p.w, &p.local);
    p.client = udp_client(p.local_seen.port);
    exchange(p.client, "hello", 5);
    assert_string_equal(p.server_seen.url, url);

    p.server.name = "second";
    assert_int_equal(udptun_configure(p.w.engine, &p.server, NULL, &err), UDPTUN_E_PORT_IN_USE);
    assert_string_equal(err.field, "listen");
    pair_stop(&p);
    assert_int_not_equal(access(path, F_OK), 0);
    rmdir(folder);
}

static void the_same_again_changes_nothing(void **state)
{
    (void)state;
    struct pair p;
    bool changed = true;
    pair_start(&p);
    exchange(p.client, "a", 1);
    assert_int_equal(udptun_configure(p.w.engine, &p.local, &changed, NULL), UDPTUN_OK);
    assert_false(changed);
    p.local.flow_timeout_s = 300; /* the default, said */
    assert_int_equal(udptun_configure(p.w.engine, &p.local, &changed, NULL), UDPTUN_OK);
    assert_false(changed);
    assert_int_equal(p.local_seen.ready, 1);
    pair_stop(&p);
}

static void timers_and_caps_change_without_losing_flows(void **state)
{
    (void)state;
    struct pair p;
    bool changed = false;
    pair_start(&p);
    exchange(p.client, "a", 1);
    p.local.connections = 4;
    p.local.max_queue_delay_ms = 100;
    assert_int_equal(udptun_configure(p.w.engine, &p.local, &changed, NULL), UDPTUN_OK);
    assert_true(changed);
    p.server.max_flows = 100;
    assert_int_equal(udptun_configure(p.w.engine, &p.server, &changed, NULL), UDPTUN_OK);
    assert_true(changed);
    exchange(p.client, "b", 1);
    assert_int_equal(status_of(&p.w, "server").flows, 1);
    assert_int_equal(status_of(&p.w, "local").flows, 1);
    assert_int_equal(p.local_seen.ready, 1);
    pair_stop(&p);
}

static void a_rebuilt_tunnel_keeps_its_port(void **state)
{
    (void)state;
    struct pair p;
    bool changed = false;
    pair_start(&p);
    exchange(p.client, "a", 1);
    uint16_t port = p.local_seen.port;
    p.server.key = key_a;
    p.local.key = key_a;
    assert_int_equal(udptun_configure(p.w.engine, &p.server, &changed, NULL), UDPTUN_OK);
    assert_true(changed);
    assert_int_equal(udptun_configure(p.w.engine, &p.local, &changed, NULL), UDPTUN_OK);
    assert_true(changed);
    assert_int_equal(p.local_seen.ready, 2);
    assert_int_equal(p.local_seen.port, port);
    exchange(p.client, "b", 1);
    pair_stop(&p);
}

static void port_0_written_out_is_the_same_socket(void **state)
{
    (void)state;
    struct pair p;
    char server[32], local[48];
    pair_start(&p);
    exchange(p.client, "a", 1);
    uint16_t ports[] = {p.server_seen.port, p.local_seen.port};
    snprintf(local, sizeof local, "udp://127.0.0.1:%u", ports[1]);
    p.server.listen = place_of(&p.server_seen, server);
    p.local.listen = local;
    configure(&p.w, &p.server);
    configure(&p.w, &p.local);
    assert_int_equal(p.server_seen.port, ports[0]);
    assert_int_equal(p.local_seen.port, ports[1]);
    exchange(p.client, "b", 1);
    pair_stop(&p);
}

static void a_failed_change_leaves_what_ran(void **state)
{
    (void)state;
    struct pair p;
    struct udptun_error err;
    char taken[64];
    bool changed = true;
    pair_start(&p);
    exchange(p.client, "a", 1);
    snprintf(taken, sizeof taken, "udp://%s", p.w.echo.place);
    p.local.listen = taken;
    assert_int_equal(udptun_configure(p.w.engine, &p.local, &changed, &err), UDPTUN_E_PORT_IN_USE);
    assert_false(changed);
    assert_string_equal(err.field, "listen");
    assert_non_null(strstr(err.message, p.w.echo.place));
    exchange(p.client, "b", 1);
    pair_stop(&p);
}

static void a_disabled_tunnel_is_there_but_does_not_run(void **state)
{
    (void)state;
    struct pair p;
    pair_start(&p);
    exchange(p.client, "a", 1);
    p.server.enabled = false;
    configure(&p.w, &p.server);
    assert_int_equal(status_of(&p.w, "server").state, UDPTUN_DISABLED);
    wait_state(&p.w, "local", UDPTUN_RECONNECTING);
    pair_stop(&p);
}

static void a_removed_server_comes_back_and_traffic_flows_again(void **state)
{
    (void)state;
    struct pair p;
    pair_start(&p);
    exchange(p.client, "a", 1);
    wait_state(&p.w, "local", UDPTUN_ESTABLISHED);
    assert_int_equal(udptun_remove(p.w.engine, "server", NULL), UDPTUN_OK);
    assert_int_equal(udptun_remove(p.w.engine, "server", NULL), UDPTUN_E_NOT_FOUND);
    wait_state(&p.w, "local", UDPTUN_RECONNECTING);
    p.server.listen = p.place;
    configure(&p.w, &p.server);
    wait_state(&p.w, "local", UDPTUN_ESTABLISHED);
    exchange(p.client, "b", 1);
    assert_true(status_of(&p.w, "local").reconnects > 0);
    pair_stop(&p);
}

static void a_local_may_come_before_its_server(void **state)
{
    (void)state;
    struct pair p;
    pair_start(&p);
    assert_int_equal(udptun_remove(p.w.engine, "server", NULL), UDPTUN_OK);
    assert_int_equal(udptun_remove(p.w.engine, "local", NULL), UDPTUN_OK);
    configure(&p.w, &p.local);
    world_wait_log(&p.w, "connection refused");
    /* What else ends an attempt, such as a change of the host's network, may be told in between. */
    while (!strstr(status_of(&p.w, "local").last_error, p.place))
        nap();
    p.server.listen = p.place;
    configure(&p.w, &p.server);
    close(p.client);
    p.client = udp_client(p.local_seen.port);
    exchange(p.client, "b", 1);
    pair_stop(&p);
}

/* A tunnel whose keys are `server` and `local` (NULL: none) gets no session. */
static void refused_with_keys(const uint8_t *server, const uint8_t *local)
{
    struct pair p;
    world_start(&p.w);
    p.server = server_config(&p.w, &p.server_seen);
    p.server.key = server;
    configure(&p.w, &p.server);
    p.local = local_config(&p.w, &p.local_seen, place_of(&p.server_seen, p.place));
    p.local.key = local;
    configure(&p.w, &p.local);
    p.client = udp_client(p.local_seen.port);
    assert_int_equal(send(p.client, "x", 1, 0), 1);
    world_wait_log(&p.w, "did not join a session: handshake authentication failed (wrong key?)");
    /* The user of the local is told what to look at. */
    while (!strstr(status_of(&p.w, "local").last_error, "is the key the same?"))
        nap();
    assert_int_equal(status_of(&p.w, "server").sessions, 0);
    assert_int_equal(status_of(&p.w, "server").counters.tx_packets, 0);
    assert_int_not_equal(status_of(&p.w, "local").state, UDPTUN_ESTABLISHED);
    pair_stop(&p);
}

static void a_proxy_that_says_nothing_is_named(void **state)
{
    (void)state;
    struct world w;
    struct seen seen = {0};
    char via[64];
    world_start(&w);
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof at;
    int proxy = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(proxy, (const struct sockaddr *)&at, sizeof at), 0);
    assert_int_equal(listen(proxy, 64), 0);
    assert_int_equal(getsockname(proxy, (struct sockaddr *)&at, &size), 0);
    snprintf(via, sizeof via, "socks5://127.0.0.1:%d", ntohs(at.sin_port));
    struct udptun_tunnel_config local = local_config(&w, &seen, "192.0.2.1:1");
    local.via = via;
    configure(&w, &local);
    while (!status_of(&w, "local").last_error[0])
        nap();
    char expected[128];
    snprintf(expected, sizeof expected, "server proxy %s: no answer in time", via + 9);
    assert_string_equal(status_of(&w, "local").last_error, expected);
    world_stop(&w);
    close(proxy);
}

static void peers_that_do_not_prove_the_key_get_nothing(void **state)
{
    (void)state;
    refused_with_keys(key_a, key_b);
    refused_with_keys(key_a, NULL);
}

static void the_same_key_lets_through(void **state)
{
    (void)state;
    struct pair p;
    world_start(&p.w);
    p.server = server_config(&p.w, &p.server_seen);
    p.server.key = key_a;
    configure(&p.w, &p.server);
    p.local = local_config(&p.w, &p.local_seen, place_of(&p.server_seen, p.place));
    p.local.key = key_a;
    configure(&p.w, &p.local);
    p.client = udp_client(p.local_seen.port);
    exchange(p.client, "secret", 6);
    pair_stop(&p);
}

/* A server without a target of its own and with these lists: is the echo reached? */
static bool reached(const char *const *allow, size_t allow_count, bool allow_given,
                    const char *const *deny, size_t deny_count)
{
    struct pair p;
    world_start(&p.w);
    p.server = server_config(&p.w, &p.server_seen);
    p.server.target = NULL;
    p.server.allow_targets = allow;
    p.server.allow_count = allow_count;
    p.server.allow_given = allow_given;
    p.server.deny_targets = deny;
    p.server.deny_count = deny_count;
    configure(&p.w, &p.server);
    p.local = local_config(&p.w, &p.local_seen, place_of(&p.server_seen, p.place));
    configure(&p.w, &p.local);
    wait_state(&p.w, "local", UDPTUN_ESTABLISHED);
    p.client = udp_client(p.local_seen.port);
    bool passed = false;
    /* Either the echo answers or the server counts; waiting for whichever comes is no race. */
    while (!passed && status_of(&p.w, "server").counters.dropped_policy == 0)
        passed = answered(p.client, "x", 1, 50);
    assert_int_equal(passed, !world_logged(&p.w, "is not allowed"));
    pair_stop(&p);
    return passed;
}

static void targets_are_allowed_and_denied(void **state)
{
    (void)state;
    static const char *const loopback[] = {"127.0.0.0/8"};
    static const char *const elsewhere[] = {"192.0.2.0/24"};
    assert_false(reached(NULL, 0, false, NULL, 0));
    assert_true(reached(loopback, 1, true, NULL, 0));
    assert_false(reached(elsewhere, 1, true, NULL, 0));
    assert_false(reached(NULL, 0, true, NULL, 0));
    assert_false(reached(loopback, 1, true, loopback, 1));
}

/* `target` is allowed, and cannot be sent to. Both ends count what is lost, and the log has why. */
static void not_sent(const char *target, const char *cause)
{
    static const char *const all[] = {"0.0.0.0/0", "::/0"};
    struct pair p;
    world_start(&p.w);
    p.server = server_config(&p.w, &p.server_seen);
    p.server.target = NULL;
    p.server.allow_targets = all;
    p.server.allow_count = 2;
    configure(&p.w, &p.server);
    p.local = local_config(&p.w, &p.local_seen, place_of(&p.server_seen, p.place));
    p.local.target = target;
    configure(&p.w, &p.local);
    wait_state(&p.w, "local", UDPTUN_ESTABLISHED);
    p.client = udp_client(p.local_seen.port);
    for (int i = 0; i < 5; i++)
        send(p.client, "lost", 4, 0);
    while (status_of(&p.w, "server").counters.dropped_error < 5 ||
           status_of(&p.w, "local").counters.dropped_error == 0)
        nap();
    assert_int_equal(status_of(&p.w, "server").counters.dropped_error, 5);
    world_wait_log(&p.w, cause);
    pair_stop(&p);
}

static void what_the_system_refuses_to_send_is_counted_and_told(void **state)
{
    (void)state;
    not_sent("255.255.255.255:9", "cannot send to 255.255.255.255:9: permission denied");
    not_sent("nx.invalid:9", "nx.invalid cannot be resolved");
}

struct inbox {
    pthread_mutex_t lock;
    size_t count;
    struct udptun_address peer;
};

static void on_datagram(void *arg, const char *name, const struct udptun_address *source,
                        const struct udptun_address *peer, const void *data, size_t size)
{
    (void)name;
    (void)source;
    (void)data;
    (void)size;
    struct inbox *inbox = (struct inbox *)arg;
    pthread_mutex_lock(&inbox->lock);
    inbox->count++;
    inbox->peer = *peer;
    pthread_mutex_unlock(&inbox->lock);
}

/* Both addresses of the name are loopback's; only one may be sent to. */
static void a_name_is_resolved_by_the_server(void **state)
{
    (void)state;
    static const char *const loopback[] = {"127.0.0.0/8"};
    const struct udptun_address source = {.family = 4, .port = 7, .ip = {10, 0, 0, 1}};
    struct inbox inbox = {.lock = PTHREAD_MUTEX_INITIALIZER};
    struct pair p;
    world_start(&p.w);
    p.server = server_config(&p.w, &p.server_seen);
    p.server.target = NULL;
    p.server.allow_targets = loopback;
    p.server.allow_count = 1;
    configure(&p.w, &p.server);
    p.local = local_config(&p.w, &p.local_seen, place_of(&p.server_seen, p.place));
    p.local.callbacks = (struct udptun_callbacks){
        .size = sizeof p.local.callbacks, .arg = &inbox, .datagram = on_datagram};
    configure(&p.w, &p.local);
    const struct udptun_address peer = {.family = 3, .port = p.w.echo.port, .name = "localhost"};
    for (size_t count = 0; count == 0;) {
        assert_int_equal(udptun_send(p.w.engine, "local", &source, &peer, "x", 1), UDPTUN_OK);
        for (int i = 0; i < 50 && count == 0; i++) {
            nap();
            pthread_mutex_lock(&inbox.lock);
            count = inbox.count;
            pthread_mutex_unlock(&inbox.lock);
        }
    }
    assert_int_equal(inbox.peer.family, 4);
    assert_int_equal(inbox.peer.port, p.w.echo.port);
    p.client = -1;
    pair_stop(&p);
}

struct pong {
    pthread_mutex_t lock;
    int count, code;
};

static void on_pong(void *arg, int code, uint64_t rtt_us)
{
    (void)rtt_us;
    struct pong *pong = (struct pong *)arg;
    pthread_mutex_lock(&pong->lock);
    pong->count++;
    pong->code = code;
    pthread_mutex_unlock(&pong->lock);
}

static void a_ping_goes_end_to_end(void **state)
{
    (void)state;
    struct pair p;
    struct pong pong = {.lock = PTHREAD_MUTEX_INITIALIZER};
    pair_start(&p);
    wait_state(&p.w, "local", UDPTUN_ESTABLISHED);
    assert_int_equal(udptun_ping(p.w.engine, "local", DEADLINE_MS, on_pong, &pong), UDPTUN_OK);
    for (int count = 0; count == 0; nap()) {
        pthread_mutex_lock(&pong.lock);
        count = pong.count;
        pthread_mutex_unlock(&pong.lock);
    }
    assert_int_equal(pong.code, UDPTUN_OK);
    assert_int_equal(udptun_ping(p.w.engine, "server", 1, on_pong, &pong), UDPTUN_E_INVALID);
    assert_int_equal(udptun_ping(p.w.engine, "none", 1, on_pong, &pong), UDPTUN_E_NOT_FOUND);
    udptun_remove(p.w.engine, "server", NULL);
    wait_state(&p.w, "local", UDPTUN_RECONNECTING);
    assert_int_equal(udptun_ping(p.w.engine, "local", 1, on_pong, &pong), UDPTUN_E_UNREACHABLE);
    assert_int_equal(pong.count, 1);
    pair_stop(&p);
}

/* ---- sessions closed by hand --------------------------------------------------------------------
 */

static void note_session(void *arg, const struct udptun_session_status *s)
{
    memcpy((char *)arg, s->session, sizeof s->session);
}

static void a_closed_session_is_gone_and_its_client_comes_back(void **state)
{
    (void)state;
    struct pair p;
    char first[33] = "", next[33] = "";
    struct udptun_error err;
    pair_start(&p);
    exchange(p.client, "a", 1);
    assert_int_equal(udptun_each_session(p.w.engine, "server", note_session, first), UDPTUN_OK);
    assert_int_equal(strlen(first), 32);
    assert_int_equal(udptun_close_session(p.w.engine, "server", first, &err), UDPTUN_OK);
    world_wait_log(&p.w, "session lost: "); /* told so, or not known when it came back */
    exchange(p.client, "b", 1); /* in a session founded again, maybe under the same id */
    udptun_each_session(p.w.engine, "server", note_session, next);
    assert_int_equal(strlen(next), 32);
    memset(first, '0', 32);
    assert_int_equal(udptun_close_session(p.w.engine, "server", first, &err), UDPTUN_E_NOT_FOUND);
    assert_string_equal(err.field, "session");
    assert_int_equal(udptun_close_session(p.w.engine, "none", first, &err), UDPTUN_E_NOT_FOUND);
    assert_string_equal(err.field, "name");
    assert_int_equal(udptun_close_session(p.w.engine, "local", next, &err), UDPTUN_E_INVALID);
    assert_string_equal(err.field, "name");
    assert_int_equal(udptun_close_session(p.w.engine, "server", "xyz", &err), UDPTUN_E_INVALID);
    assert_string_equal(err.field, "session");
    pair_stop(&p);
}

/* ---- the caller's own loop ----------------------------------------------------------------------
 */

struct own_loop {
    struct ev_loop *loop;
    udptun_engine *engine;
    struct echo echo;
    uint16_t server_port;
    char server[32];
    unsigned replies, disabled;
    ev_timer watchdog;
    const struct udptun_address source, peer;
};

static void on_own_ready(void *arg, const char *name, const struct udptun_bound *bounds,
                         size_t count)
{
    struct own_loop *o = (struct own_loop *)arg;
    if (strcmp(name, "server") == 0 && count == 1)
        o->server_port = bounds[0].address->port;
}

static void on_own_state(void *arg, const char *name, enum udptun_state new_state,
                         const char *reason)
{
    (void)name;
    (void)reason;
    struct own_loop *o = (struct own_loop *)arg;
    o->disabled += new_state == UDPTUN_DISABLED;
}

/* The first reply is answered from inside the callback, from a new source at that; the second
 * removes both tunnels while the machine is still on the stack. */
static void on_own_datagram(void *arg, const char *name, const struct udptun_address *source,
                            const struct udptun_address *peer, const void *data, size_t size)
{
    struct own_loop *o = (struct own_loop *)arg;
    assert_int_equal(size, 5);
    assert_memory_equal(data, "hello", 5);
    assert_int_equal(peer->port, o->echo.port);
    assert_string_equal(name, "local");
    if (++o->replies == 1) {
        struct udptun_address other = *source;
        other.port++;
        assert_int_equal(udptun_send(o->engine, name, &other, peer, data, size), UDPTUN_OK);
        return;
    }
    assert_int_equal(udptun_remove(o->engine, "local", NULL), UDPTUN_OK);
    assert_int_equal(udptun_remove(o->engine, "server", NULL), UDPTUN_OK);
    ev_break(o->loop, EVBREAK_ALL);
}

static void on_watchdog(struct ev_loop *loop, ev_timer *timer, int events)
{
    (void)loop;
    (void)timer;
    (void)events;
    fail_msg("the loop hangs");
}

static void own_loop_tunnels(struct own_loop *o)
{
    struct udptun_tunnel_config config;
    udptun_tunnel_config_init(&config, UDPTUN_SERVER);
    config.name = "server";
    config.listen = "127.0.0.1:0";
    config.target = o->echo.place;
    config.callbacks.arg = o;
    config.callbacks.ready = on_own_ready;
    config.callbacks.state = on_own_state;
    assert_int_equal(udptun_configure(o->engine, &config, NULL, NULL), UDPTUN_OK);
    snprintf(o->server, sizeof o->server, "127.0.0.1:%u", o->server_port);
    udptun_tunnel_config_init(&config, UDPTUN_LOCAL);
    config.name = "local";
    config.server = o->server;
    config.callbacks.arg = o;
    config.callbacks.ready = on_own_ready;
    config.callbacks.state = on_own_state;
    config.callbacks.datagram = on_own_datagram;
    assert_int_equal(udptun_configure(o->engine, &config, NULL, NULL), UDPTUN_OK);
}

static void callbacks_may_send_and_remove_on_the_callers_loop(void **state)
{
    (void)state;
    struct own_loop o = {.loop = ev_loop_new(0)};
    struct udptun_engine_config config;
    echo_start(&o.echo);
    udptun_engine_config_init(&config);
    config.loop = o.loop;
    o.engine = udptun_engine_new(&config, NULL);
    assert_non_null(o.engine);
    own_loop_tunnels(&o);
    const struct udptun_address source = {.family = 4, .port = 7, .ip = {10, 0, 0, 1}};
    const struct udptun_address peer = {.family = 4, .port = o.echo.port, .ip = {127, 0, 0, 1}};
    assert_int_equal(udptun_send(o.engine, "local", &source, &peer, "hello", 5), UDPTUN_OK);
    assert_int_equal(udptun_send(o.engine, "server", &source, &peer, "hello", 5), UDPTUN_E_INVALID);
    assert_int_equal(udptun_send(o.engine, "none", &source, &peer, "hello", 5), UDPTUN_E_NOT_FOUND);
    ev_timer_init(&o.watchdog, on_watchdog, DEADLINE_MS / 1000, 0.);
    ev_timer_start(o.loop, &o.watchdog);
    ev_run(o.loop, 0);
    ev_run(o.loop, EVRUN_NOWAIT); /* the end of that turn */
    assert_int_equal(o.replies, 2);
    assert_int_equal(o.disabled, 2);
    udptun_engine_free(o.engine);
    ev_timer_stop(o.loop, &o.watchdog);
    ev_loop_destroy(o.loop);
    echo_stop(&o.echo);
}

static void count_names(void *arg, const char *name)
{
    char *names = (char *)arg;
    strcat(names, name);
    strcat(names, " ");
}

static void tunnels_are_listed_in_order_and_do_not_disturb_each_other(void **state)
{
    (void)state;
    struct pair p;
    char names[64] = "";
    pair_start(&p);
    p.local.name = "a";
    p.local.server = "127.0.0.1:1";
    configure(&p.w, &p.local);
    udptun_each_tunnel(p.w.engine, count_names, names);
    assert_string_equal(names, "a local server ");
    exchange(p.client, "x", 1);
    pair_stop(&p);
}

static int refuse_socket(void *arg, int fd)
{
    (void)fd;
    ++*(int *)arg;
    return -1;
}

static void a_socket_that_is_not_protected_is_not_used(void **state)
{
    (void)state;
    int asked = 0;
    struct ev_loop *loop = ev_loop_new(0);
    struct udptun_engine_config config;
    struct udptun_tunnel_config local;
    udptun_engine_config_init(&config);
    config.loop = loop;
    config.arg = &asked;
    config.protect = refuse_socket;
    udptun_engine *engine = udptun_engine_new(&config, NULL);
    udptun_tunnel_config_init(&local, UDPTUN_LOCAL);
    local.name = "local";
    local.server = "127.0.0.1:9";
    assert_int_equal(udptun_configure(engine, &local, NULL, NULL), UDPTUN_OK);
    struct udptun_tunnel_status status = {0};
    while (!status.last_error[0]) {
        ev_run(loop, EVRUN_ONCE);
        assert_int_equal(udptun_status(engine, "local", &status), UDPTUN_OK);
    }
    assert_true(asked > 0);
    udptun_engine_free(engine);
    ev_loop_destroy(loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(datagrams_of_every_size_pass_unchanged),
#ifndef UDP_IO_IS_PORTABLE /* which does not know the local address of a datagram */
        cmocka_unit_test(a_wildcard_listener_answers_from_where_it_was_asked),
#endif
        cmocka_unit_test(each_source_gets_its_own_replies),
        cmocka_unit_test(a_lower_cap_evicts_what_is_beyond_it),
        cmocka_unit_test(flows_are_listed_page_by_page),
        cmocka_unit_test(a_unix_socket_carries_it),
        cmocka_unit_test(the_same_again_changes_nothing),
        cmocka_unit_test(timers_and_caps_change_without_losing_flows),
        cmocka_unit_test(a_rebuilt_tunnel_keeps_its_port),
        cmocka_unit_test(port_0_written_out_is_the_same_socket),
        cmocka_unit_test(a_failed_change_leaves_what_ran),
        cmocka_unit_test(a_closed_session_is_gone_and_its_client_comes_back),
        cmocka_unit_test(a_disabled_tunnel_is_there_but_does_not_run),
        cmocka_unit_test(a_removed_server_comes_back_and_traffic_flows_again),
        cmocka_unit_test(a_local_may_come_before_its_server),
        cmocka_unit_test(a_proxy_that_says_nothing_is_named),
        cmocka_unit_test(peers_that_do_not_prove_the_key_get_nothing),
        cmocka_unit_test(the_same_key_lets_through),
        cmocka_unit_test(targets_are_allowed_and_denied),
        cmocka_unit_test(what_the_system_refuses_to_send_is_counted_and_told),
        cmocka_unit_test(a_name_is_resolved_by_the_server),
        cmocka_unit_test(a_ping_goes_end_to_end),
        cmocka_unit_test(callbacks_may_send_and_remove_on_the_callers_loop),
        cmocka_unit_test(tunnels_are_listed_in_order_and_do_not_disturb_each_other),
        cmocka_unit_test(a_socket_that_is_not_protected_is_not_used),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
