/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_machine.c - the session machine, both roles, driven by the input.
 *
 * A local and a server talk to each other over streams that lose nothing; the input is a list of
 * steps: time passes, datagrams are sent, streams end, and bytes of the input come in the middle
 * of an honest conversation, as frames or raw, as the peer of either. So what lies behind the
 * handshake is reached although no fuzzer finds a MAC.
 */
#include "proto/udpt/codec/frame.h"
#include "proto/udpt/machine.h"
#include "tests/fuzz/fuzz.h"

#define PAIRS    48
#define BINDINGS 4

/* A stream; a conn is NULL where there is none, or when it was hung up. */
struct pair {
    struct udptun_conn *local, *server;
    bool used, opened, accepted;
};

struct node {
    struct world *world;
    struct udptun_machine *machine;
    unsigned bindings;
    unsigned conns;
};

struct world {
    struct node local, server;
    struct pair pairs[PAIRS];
    struct udptun_binding *sources[BINDINGS];
    uint64_t now_us, chance;
    unsigned touched; /* keeps reads of payload from being optimised away */
};

/* What stands behind a binding: whether it is alive, and at a local which source it is. */
struct binding_host {
    unsigned magic, source;
};
#define ALIVE 0xa11feu

static void on_random(void *arg, void *to, size_t size)
{
    struct node *n = arg;
    for (size_t i = 0; i < size; i++)
        ((uint8_t *)to)[i] = (uint8_t)((n->world->chance += 0x9e3779b97f4a7c15u) >> 32);
}

static struct pair *new_pair(struct world *w)
{
    for (size_t i = 0; i < PAIRS; i++) {
        struct pair *p = &w->pairs[i];
        if (!p->used || (p->accepted && !p->local && !p->server)) {
            *p = (struct pair){.used = true};
            return p;
        }
    }
    return NULL;
}

static void on_dial(void *arg, struct udptun_conn *conn)
{
    struct node *n = arg;
    struct pair *p = new_pair(n->world);
    udptun_conn_set_host(conn, p);
    n->conns++;
    if (p) /* else it is dialled for ever, until the machine gives it up */
        p->local = conn;
}

static void on_hangup(void *arg, struct udptun_conn *conn, const char *reason)
{
    struct node *n = arg;
    struct pair *p = udptun_conn_host(conn);
    MUST(reason && n->conns > 0);
    n->conns--;
    if (!p)
        return;
    struct udptun_conn **mine = n == &n->world->local ? &p->local : &p->server;
    MUST(*mine == conn);
    *mine = NULL;
}

static void on_datagram(void *arg, struct udptun_binding *b, const struct udptun_dest *peer,
                        const uint8_t *data, size_t size)
{
    struct node *n = arg;
    struct binding_host *h = udptun_binding_host(b);
    MUST(h->magic == ALIVE && size <= UDPTUN_MACHINE_MAX_PAYLOAD_IP6);
    MUST(peer->ep.family != UDPTUN_ENDPOINT_NAME || (peer->name_len > 0 && peer->name_len < 256));
    for (size_t i = 0; i < size; i++)
        n->world->touched += data[i];
    for (size_t i = 0; i < peer->name_len; i++)
        n->world->touched += (unsigned char)peer->name[i];
    if (n != &n->world->server)
        return;
    struct udptun_endpoint external = endpoint_ip4(192, 0, 2, 1, 40000);
    udptun_binding_external(b, &external, n->world->now_us);
    if (size % 3 == 0)
        udptun_binding_error(b, peer, UDPTUN_MACHINE_PORT_UNREACHABLE, 0, n->world->now_us);
    if (size % 2 == 0 && peer->ep.family != UDPTUN_ENDPOINT_NAME)
        udptun_binding_send(b, peer, data, size, n->world->now_us);
}

static int on_binding_opened(void *arg, struct udptun_binding *b, uint16_t want4, uint16_t want6)
{
    struct node *n = arg;
    if ((want4 ^ want6) == 0x7777)
        return UDPTUN_MACHINE_LIMIT;
    ((struct binding_host *)udptun_binding_host(b))->magic = ALIVE;
    n->bindings++;
    return 0;
}

static void on_binding_closed(void *arg, struct udptun_binding *b, enum udptun_close_reason reason)
{
    struct node *n = arg;
    struct binding_host *h = udptun_binding_host(b);
    (void)reason;
    MUST(h->magic == ALIVE && n->bindings > 0);
    h->magic = 0;
    n->bindings--;
    if (n == &n->world->local)
        n->world->sources[h->source] = NULL;
}

static void on_error(void *arg, struct udptun_binding *b, const struct udptun_dest *peer,
                     enum udptun_machine_error code, uint32_t value)
{
    struct node *n = arg;
    (void)value;
    MUST(((struct binding_host *)udptun_binding_host(b))->magic == ALIVE);
    n->world->touched += (unsigned)code + peer->ep.port;
}

static void on_state(void *arg, struct udptun_session *s, enum udptun_machine_state state,
                     const char *reason)
{
    (void)arg;
    MUST(s && reason && state >= UDPTUN_MACHINE_CONNECTING && state <= UDPTUN_MACHINE_CLOSED);
}

static void on_pong(void *arg, uint64_t token, uint64_t rtt_us)
{
    struct node *n = arg;
    (void)token;
    MUST(rtt_us <= n->world->now_us);
}

static void on_log(void *arg, enum udptun_machine_log level, const char *text)
{
    (void)arg;
    MUST(level <= UDPTUN_MACHINE_LOG_DEBUG && strlen(text) < 2048);
}

static const struct udptun_machine_ops local_ops = {
    .random = on_random,
    .dial = on_dial,
    .hangup = on_hangup,
    .datagram = on_datagram,
    .binding_closed = on_binding_closed,
    .error = on_error,
    .state = on_state,
    .pong = on_pong,
    .log = on_log,
};

static const struct udptun_machine_ops server_ops = {
    .random = on_random,
    .hangup = on_hangup,
    .datagram = on_datagram,
    .binding_opened = on_binding_opened,
    .binding_closed = on_binding_closed,
    .state = on_state,
    .log = on_log,
};

/* ---- the honest part --------------------------------------------------------------------------
 */

/* Input in memory of exactly its size. */
static void input(struct udptun_conn *conn, const uint8_t *data, size_t size, uint64_t now_us)
{
    uint8_t *copy = malloc(size ? size : 1);
    if (!copy)
        abort();
    if (size)
        memcpy(copy, data, size);
    udptun_conn_input(conn, copy, size, now_us);
    free(copy);
}

static struct udptun_conn *far_end(struct world *w, struct node *n, struct pair *p)
{
    return n == &w->local ? p->server : p->local;
}

/* What `n` wants to write goes to the other side, at most `budget` writes. */
static bool flush(struct world *w, struct node *n, int budget)
{
    bool any = false;
    struct udptun_conn *c;
    while (budget-- > 0 && (c = udptun_machine_next_ready(n->machine))) {
        struct udptun_span spans[2];
        struct pair *p = udptun_conn_host(c);
        int count;
        while ((count = udptun_conn_output(c, spans)) > 0) {
            size_t size = spans[0].size + (count == 2 ? spans[1].size : 0);
            uint8_t *bytes = malloc(size);
            if (!bytes)
                abort();
            memcpy(bytes, spans[0].data, spans[0].size);
            if (count == 2)
                memcpy(bytes + spans[0].size, spans[1].data, spans[1].size);
            udptun_conn_sent(c, size, w->now_us);
            struct udptun_conn *to = far_end(w, n, p);
            if (to)
                udptun_conn_input(to, bytes, size, w->now_us);
            free(bytes);
            any = true;
            if ((n == &w->local ? p->local : p->server) != c)
                break; /* it was hung up by what the far end did */
        }
    }
    return any;
}

static void connect_pairs(struct world *w)
{
    for (size_t i = 0; i < PAIRS; i++) {
        struct pair *p = &w->pairs[i];
        if (p->local && !p->opened) {
            p->opened = p->accepted = true;
            udptun_conn_opened(p->local, w->now_us);
            p->server = udptun_machine_accept(w->server.machine, "peer", w->now_us);
            if (p->server) {
                w->server.conns++;
                udptun_conn_set_host(p->server, p);
            }
        }
        if (p->accepted && p->local && !p->server)
            udptun_conn_lost(p->local, "end of stream", w->now_us);
        else if (p->opened && p->server && !p->local)
            udptun_conn_lost(p->server, "end of stream", w->now_us);
    }
}

static void pump(struct world *w)
{
    for (int round = 0; round < 20; round++) {
        if (udptun_machine_deadline(w->local.machine) <= w->now_us)
            udptun_machine_tick(w->local.machine, w->now_us);
        if (udptun_machine_deadline(w->server.machine) <= w->now_us)
            udptun_machine_tick(w->server.machine, w->now_us);
        connect_pairs(w);
        bool any = flush(w, &w->local, 64);
        any |= flush(w, &w->server, 64);
        if (!any)
            break;
    }
}

/* ---- the input's part ---------------------------------------------------------------------------
 */

static struct udptun_conn *some_conn(struct world *w, bool server, unsigned which)
{
    for (size_t i = 0; i < PAIRS; i++) {
        struct pair *p = &w->pairs[(which + i) % PAIRS];
        struct udptun_conn *c = server ? p->server : p->local;
        if (c && (server || p->opened))
            return c;
    }
    return NULL;
}

/* Bytes for one side, in a well-formed frame of that id where `framed`. */
static void inject(struct world *w, bool server, struct reader *r, bool framed)
{
    struct udptun_conn *c = some_conn(w, server, reader_u8(r));
    uint8_t id = framed ? reader_u8(r) : 0;
    size_t size = reader_u8(r);
    if (size > reader_left(r))
        size = reader_left(r);
    const uint8_t *body = reader_bytes(r, size);
    if (!c || !body)
        return;
    uint8_t bytes[12 + 256];
    size_t head = framed ? frame_put_header(bytes, id, size) : 0;
    memcpy(bytes + head, body, size);
    input(c, bytes, head + size, w->now_us);
}

static struct udptun_dest some_dest(unsigned which)
{
    if (which % 3 == 2)
        return udptun_dest_of_name("name.example", 12, (uint16_t)which);
    struct udptun_endpoint ep = endpoint_ip4(198, 51, 100, (uint8_t)which, 53);
    if (which % 3 == 1)
        ep.family = UDPTUN_ENDPOINT_IP6;
    return udptun_dest_of(&ep);
}

static void send_some(struct world *w, struct reader *r)
{
    static const uint8_t payload[UDPTUN_MACHINE_MAX_PAYLOAD_IP6 + 1] = {1, 2, 3};
    /* Large ones cost time, so they are few. */
    static const size_t sizes[] = {0,   1,    2,    3,    20,   53,    100,   200,
                                   500, 1200, 1472, 1473, 9000, 65507, 65527, 65528};
    unsigned source = reader_u8(r) % BINDINGS, how = reader_u8(r);
    if (!w->sources[source]) {
        int code;
        struct udptun_binding *b =
            udptun_binding_open(w->local.machine, source + 1, w->now_us, &code);
        MUST(b);
        w->local.bindings++;
        w->sources[source] = b;
        *(struct binding_host *)udptun_binding_host(b) = (struct binding_host){ALIVE, source};
    }
    struct udptun_dest to = some_dest(how >> 4);
    for (unsigned i = 0; i < 1u + source && w->sources[source]; i++)
        udptun_binding_send(w->sources[source], &to, payload, sizes[how & 15], w->now_us);
}

static void administer(struct world *w, const struct udptun_machine_config *config,
                       struct reader *r)
{
    struct udptun_machine_config other = *config;
    struct udptun_session *s = udptun_session_next(w->server.machine, NULL);
    unsigned what = reader_u8(r);
    switch (what % 5) {
    case 0:
        udptun_machine_ping(w->local.machine, what, w->now_us);
        break;
    case 1:
        udptun_machine_network_changed(w->local.machine, w->now_us);
        break;
    case 2:
        if (s)
            udptun_session_close(s, w->now_us);
        break;
    case 3:
        other.connections = 1 + what % 8;
        other.max_flows = 1 + what / 8;
        udptun_machine_configure(w->local.machine, &other, w->now_us);
        break;
    default:
        if (w->sources[what % BINDINGS])
            udptun_binding_close(w->sources[what % BINDINGS], w->now_us);
        break;
    }
}

static void stranger(struct world *w)
{
    struct pair *p = new_pair(w);
    if (!p)
        return;
    p->server = udptun_machine_accept(w->server.machine, "a stranger", w->now_us);
    p->accepted = true;
    if (p->server) {
        w->server.conns++;
        udptun_conn_set_host(p->server, p);
    }
}

static void cut(struct world *w, struct reader *r)
{
    struct udptun_conn *c = some_conn(w, true, reader_u8(r));
    if (c)
        udptun_conn_lost(c, "cut", w->now_us);
}

static void steps(struct world *w, const struct udptun_machine_config *config, struct reader *r)
{
    while (reader_left(r) > 0 && !r->failed) {
        unsigned op = reader_u8(r);
        switch (op % 8) {
        case 0:
            w->now_us += (uint64_t)reader_u16(r) * 1000;
            break;
        case 1:
        case 2:
            inject(w, (op & 1) != 0, r, true);
            break;
        case 3:
            inject(w, op >= 128, r, false);
            break;
        case 4:
            send_some(w, r);
            break;
        case 5:
            administer(w, config, r);
            break;
        case 6:
            stranger(w);
            break;
        default:
            cut(w, r);
            break;
        }
        if (op < 192) /* else the next step comes before anything is written */
            pump(w);
    }
}

static void start(struct node *n, struct world *w, const struct udptun_machine_config *config)
{
    n->world = w;
    n->machine = udptun_machine_new(
        config, config->role == UDPTUN_MACHINE_LOCAL ? &local_ops : &server_ops, n, w->now_us);
    MUST(n->machine);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct reader r = reader_of(data, size);
    uint8_t mode = reader_u8(&r);
    struct world w = {.now_us = 1000000, .chance = mode};
    struct udptun_machine_config local, server;
    udptun_machine_config_init(&local, UDPTUN_MACHINE_LOCAL);
    udptun_machine_config_init(&server, UDPTUN_MACHINE_SERVER);
    local.binding_host_size = server.binding_host_size = sizeof(struct binding_host);
    local.has_key = server.has_key = (mode & 1) != 0;
    local.connections = 1 + (mode >> 1 & 3);
    if (mode & 8)
        server.max_flows = server.max_flows_per_session = 2;
    if (mode & 16)
        server.max_pending = server.max_sessions = 2;
    start(&w.local, &w, &local);
    start(&w.server, &w, &server);
    pump(&w);
    if (!(mode & 224)) { /* most histories begin with a session that stands */
        struct udptun_machine_info info;
        udptun_machine_look(w.local.machine, w.now_us, &info);
        MUST(info.state == UDPTUN_MACHINE_ESTABLISHED || info.state == UDPTUN_MACHINE_DEGRADED);
    }
    steps(&w, &local, &r);
    udptun_machine_stop(w.local.machine, UDPTUN_MACHINE_STOP_END, w.now_us);
    flush(&w, &w.local, 64);
    udptun_machine_free(w.local.machine);
    MUST(w.local.conns == 0 && w.local.bindings == 0);
    udptun_machine_free(w.server.machine);
    MUST(w.server.conns == 0 && w.server.bindings == 0);
    return 0;
}
