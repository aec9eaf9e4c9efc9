/* SPDX-License-Identifier: Apache-2.0 */
/* tunnel.c - the life of a tunnel of either role. */
#include "daemon/engine/tunnel/tunnel.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/engine/core/notices.h"
#include "daemon/engine/core/registry.h"
#include "daemon/engine/streams/resolver.h"
#include "daemon/engine/tunnel/carrier.h"
#include "daemon/engine/tunnel/ping.h"
#include "daemon/platform/datagram.h"
#include "proto/error.h"

/* Between looks for an address that is gone: growing, for a change of the network is told. */
enum { LISTEN_CHECK_US = 1000000, LISTEN_CHECK_MOST_US = 30000000 };

/* A flow that was used later makes no room for another. */
enum { EVICT_IDLE_US = 1000000 };

const char *tunnel_module(const struct tunnel *t)
{
    return t->role->module;
}

struct socket_rules tunnel_rules(const struct tunnel *t)
{
    struct socket_rules rules = t->config->rules;
    engine_fill_rules(t->engine, &rules);
    return rules;
}

/* ---- state --------------------------------------------------------------------------------------
 */

void tunnel_note_error(struct tunnel *t, const char *text)
{
    snprintf(t->last_error, sizeof t->last_error, "%s", text);
}

static void show_state(struct tunnel *t, enum udptun_state state, const char *reason)
{
    if (t->dead || t->state == state)
        return;
    engine_log(t->engine, state == UDPTUN_RECONNECTING ? UDPTUN_LOG_WARN : UDPTUN_LOG_INFO,
               tunnel_module(t), "%s: %s -> %s%s%s", tunnel_name(t), udptun_state_name(t->state),
               udptun_state_name(state), *reason ? ": " : "", reason);
    t->state = state;
    if (state == UDPTUN_ESTABLISHED)
        t->last_error[0] = '\0';
    else if (*reason)
        tunnel_note_error(t, reason);
    const struct udptun_callbacks *callbacks = tunnel_callbacks(t);
    notice_state(t->engine, callbacks->state, callbacks->arg, tunnel_name(t), state, reason);
    registry_tell(t->engine, tunnel_name(t), state, reason);
}

void tunnel_enter_state(struct tunnel *t, enum udptun_state state, const char *reason)
{
    t->running_state = state;
    if (t->listen_check_us == 0 || state == UDPTUN_DISABLED)
        show_state(t, state, reason);
}

/* ---- the address that it listens on -------------------------------------------------------------
 */

static bool has_listen_address(const struct tunnel *t)
{
    struct udptun_endpoint own = t->listening.bound;
    own.port = 0;
    return t->listening.kind == URL_NONE || own.family == UDPTUN_ENDPOINT_NONE ||
           endpoint_is_unspecified(&own) || path_has_address(&own);
}

static void unlisten(struct tunnel *t);

/* An interface that was named came again with another number, which the socket does not know. */
static bool listen_in_new_zone(struct tunnel *t)
{
    struct listening now;
    if (!endpoint_zone_name(t->config->listen.host.host) ||
        listening_open(&now, &t->config->listen, NULL) != UDPTUN_OK)
        return false;
    unlisten(t);
    listening_close(&t->listening);
    listening_move(&t->listening, &now);
    return t->role->listen(t) == UDPTUN_OK;
}

/* The socket stays: it hears again when the host has the address again. */
static void check_listen_address(struct tunnel *t)
{
    char place[ENDPOINT_TEXT_SIZE], reason[ENDPOINT_TEXT_SIZE + 64];
    bool was_gone = t->listen_check_us > 0;
    if (has_listen_address(t) || listen_in_new_zone(t)) {
        timer_stop(&t->listen_check);
        t->listen_check_us = 0;
        if (was_gone)
            show_state(t, t->running_state, "the address is back");
        return;
    }
    if (!was_gone) {
        snprintf(reason, sizeof reason, "listen: this host no longer has the address of %s",
                 endpoint_format(&t->listening.bound, place));
        show_state(t, UDPTUN_FAILED, reason);
    }
    t->listen_check_us = was_gone ? t->listen_check_us * 2 : LISTEN_CHECK_US;
    if (t->listen_check_us > LISTEN_CHECK_MOST_US)
        t->listen_check_us = LISTEN_CHECK_MOST_US;
    timer_start(&t->listen_check, t->listen_check_us);
}

static void on_listen_check(void *arg)
{
    check_listen_address((struct tunnel *)arg);
}

void tunnel_log_machine(struct tunnel *t, enum udptun_machine_log level, const char *text)
{
    static const enum udptun_log_level levels[] = {
        [UDPTUN_MACHINE_LOG_ERROR] = UDPTUN_LOG_ERROR,
        [UDPTUN_MACHINE_LOG_WARN] = UDPTUN_LOG_WARN,
        [UDPTUN_MACHINE_LOG_INFO] = UDPTUN_LOG_INFO,
        [UDPTUN_MACHINE_LOG_DEBUG] = UDPTUN_LOG_DEBUG,
    };
    if (level <= UDPTUN_MACHINE_LOG_INFO)
        engine_log_gated(t->engine, &t->machine_gate, levels[level], tunnel_module(t), "%s: %s",
                         tunnel_name(t), text);
    else
        engine_log(t->engine, levels[level], tunnel_module(t), "%s: %s", tunnel_name(t), text);
}

/* ---- turns --------------------------------------------------------------------------------------
 */

void tunnel_touch(struct tunnel *t)
{
    if (list_empty(&t->dirty))
        list_append(&t->engine->dirty, &t->dirty);
}

static void on_deadline(void *arg)
{
    struct tunnel *t = (struct tunnel *)arg;
    t->armed_us = UDPTUN_MACHINE_NEVER;
    udptun_machine_tick(t->machine, t->engine->loop.now_us);
    tunnel_touch(t);
}

static void arm(struct tunnel *t)
{
    uint64_t deadline_us = udptun_machine_deadline(t->machine);
    uint64_t now_us = t->engine->loop.now_us;
    if (deadline_us == t->armed_us)
        return;
    t->armed_us = deadline_us;
    if (deadline_us == UDPTUN_MACHINE_NEVER)
        timer_stop(&t->deadline);
    else
        timer_start(&t->deadline, deadline_us > now_us ? deadline_us - now_us : 0);
}

static void write_ready(struct tunnel *t)
{
    struct udptun_conn *conn;
    while ((conn = udptun_machine_next_ready(t->machine))) {
        struct carrier *c = (struct carrier *)udptun_conn_host(conn);
        if (c)
            c->ops->flush(c);
    }
}

void tunnel_network_changed(struct tunnel *t)
{
    if (!t->machine)
        return;
    resolver_flush(t->resolver);
    if (t->role->network_changed)
        t->role->network_changed(t);
    udptun_machine_network_changed(t->machine, t->engine->loop.now_us);
    tunnel_touch(t);
    check_listen_address(t);
}

static void configure_machine(struct tunnel *t)
{
    struct udptun_machine_config udpt;
    tunnel_settings_fill_udpt(t->config, &udpt);
    udpt.binding_host_size = t->role->flow_size;
    udptun_machine_configure(t->machine, &udpt, t->engine->loop.now_us);
    t->configure_pending = false;
}

/* Flows found no descriptor or port. Where one has been idle, it ends for each of them: an app that
 * sends again gets its place. Not earlier: the machine was on the stack. */
static void tunnel_make_room(struct tunnel *t)
{
    while (t->room_wanted > 0 &&
           udptun_machine_make_room(t->machine, EVICT_IDLE_US, t->engine->loop.now_us))
        t->room_wanted--;
    t->room_wanted = 0;
}

static void tunnel_flush(struct tunnel *t)
{
    list_remove(&t->dirty);
    if (!t->machine)
        return;
    if (t->room_wanted > 0)
        tunnel_make_room(t);
    if (t->configure_pending)
        configure_machine(t);
    write_ready(t);
    arm(t);
}

void tunnels_flush(struct udptun_engine *e)
{
    struct list now;
    list_init(&now);
    while (!list_empty(&e->dirty))
        list_move(&now, e->dirty.next);
    while (!list_empty(&now))
        tunnel_flush(list_entry(now.next, struct tunnel, dirty));
}

/* ---- life ---------------------------------------------------------------------------------------
 */

static bool is_enabled(const struct tunnel *t)
{
    return t->local || t->server;
}

static void unlisten(struct tunnel *t)
{
    if (is_enabled(t))
        t->role->unlisten(t);
}

static void tunnel_leave(struct tunnel *t)
{
    if (is_enabled(t) && t->role->bury)
        t->role->bury(t);
}

/* The socket that `from` has is the one that `t` would open. That of a PORT 0 may be written out
 * now, and user and password are no part of it. */
static bool inherits(const struct tunnel *t, const struct tunnel *from)
{
    const struct url *wanted = &t->config->listen;
    if (!from || from->listening.kind == URL_NONE || from->listening.kind != wanted->kind ||
        from->config->given.role != t->config->given.role)
        return false;
    if (wanted->kind == URL_UNIX)
        return strcmp(from->listening.path, wanted->path) == 0;
    return strcmp(t->config->given.listen, from->config->given.listen) == 0 ||
           endpoint_equal(&wanted->host.ep, &from->listening.bound);
}

/* The last step of a start, since only before it all can be undone. */
static int open_listener(struct tunnel *t, struct tunnel *heir_of, struct udptun_error *err)
{
    bool is_inherited = inherits(t, heir_of);
    if (is_inherited) {
        unlisten(heir_of);
        listening_move(&t->listening, &heir_of->listening);
    } else if (t->config->listen.kind != URL_NONE) {
        int code = listening_open(&t->listening, &t->config->listen, err);
        if (code)
            return code;
    }
    if (t->role->listen(t) == UDPTUN_OK)
        return UDPTUN_OK;
    if (is_inherited) { /* it has it back */
        listening_move(&heir_of->listening, &t->listening);
        heir_of->role->listen(heir_of);
    }
    return error_set(err, UDPTUN_E_NOMEM, NULL, "%s: out of memory", tunnel_name(t));
}

static int tunnel_start(struct tunnel *t, struct tunnel *heir_of, struct udptun_error *err)
{
    struct socket_rules rules = tunnel_rules(t);
    t->resolver = resolver_new(&t->engine->loop, &rules, t->engine->hosts);
    if (!t->resolver)
        return error_set(err, UDPTUN_E_NOMEM, NULL, "%s: out of memory", tunnel_name(t));
    if (heir_of)
        resolver_inherit(t->resolver, heir_of->resolver);
    int code = settings_try_mark(&rules, err);
    if (!code)
        code = t->role->start(t, err);
    if (!code)
        code = open_listener(t, heir_of, err);
    if (code)
        return code;
    if (t->listening.kind != URL_NONE)
        engine_log(t->engine, UDPTUN_LOG_INFO, tunnel_module(t), "%s: listening on %s",
                   tunnel_name(t), t->listening.url);
    tunnel_enter_state(t, t->role->first_state, "");
    udptun_machine_tick(t->machine, t->engine->loop.now_us);
    tunnel_touch(t);
    return UDPTUN_OK;
}

struct tunnel *tunnel_new(struct udptun_engine *e, struct tunnel_settings *config,
                          struct tunnel *heir_of, struct udptun_error *err)
{
    struct tunnel *t = (struct tunnel *)calloc(1, sizeof *t);
    if (!t) {
        error_set(err, UDPTUN_E_NOMEM, NULL, "%s: out of memory", config->given.name);
        return NULL;
    }
    list_init(&t->entry.node);
    t->entry.kind = &tunnel_kind;
    strcpy(t->entry.name, config->given.name);
    list_init(&t->dirty);
    list_init(&t->carriers);
    list_init(&t->pings);
    listening_init(&t->listening);
    timer_init(&t->deadline, &e->loop, on_deadline, t);
    timer_init(&t->listen_check, &e->loop, on_listen_check, t);
    t->armed_us = UDPTUN_MACHINE_NEVER;
    t->engine = e;
    t->config = config;
    t->role = e->roles[config->given.role];
    t->state = UDPTUN_STARTING;
    t->started_us = e->loop.now_us;
    if (config->key_exposed)
        engine_log(e, UDPTUN_LOG_WARN, tunnel_module(t),
                   "%s: keyFile '%s' is readable by users other than its owner", tunnel_name(t),
                   config->given.key_file);
    if (!config->given.enabled) {
        tunnel_enter_state(t, UDPTUN_DISABLED, "");
        return t;
    }
    if (tunnel_start(t, heir_of, err) == UDPTUN_OK)
        return t;
    t->config = NULL; /* it stays the caller's */
    tunnel_free(t);
    return NULL;
}

void tunnel_bury(struct tunnel *t)
{
    unlisten(t);
    listening_close(&t->listening);
    timer_stop(&t->listen_check);
    pings_fail(t);
    tunnel_leave(t);
    t->dead = true;
}

void tunnel_free(struct tunnel *t)
{
    struct udptun_engine *e = t->engine;
    t->dead = true;
    if (t->machine && t->config) {
        udptun_machine_stop(t->machine, t->farewell, e->loop.now_us);
        write_ready(t);
    }
    unlisten(t);
    pings_fail(t);
    tunnel_leave(t);
    udptun_machine_free(t->machine);
    udp_sender_flush(e->sender);
    t->role->free(t);
    listening_close(&t->listening);
    timer_stop(&t->deadline);
    timer_stop(&t->listen_check);
    resolver_free(t->resolver);
    list_remove(&t->dirty);
    list_remove(&t->entry.node);
    tunnel_settings_free(t->config);
    free(t);
}

int tunnel_reconfigure(struct tunnel *t, struct tunnel_settings *config, struct udptun_error *err)
{
    int code = is_enabled(t) && t->role->configure ? t->role->configure(t, config, err) : UDPTUN_OK;
    if (code)
        return code;
    tunnel_settings_free(t->config);
    t->config = config;
    if (is_enabled(t) && t->role->configured)
        t->role->configured(t);
    t->configure_pending = t->machine != NULL;
    tunnel_touch(t);
    return UDPTUN_OK;
}

void tunnel_tell_ready(struct tunnel *t)
{
    const struct udptun_callbacks *callbacks = tunnel_callbacks(t);
    if (!callbacks->ready || !t->config->given.enabled)
        return;
    const struct udptun_endpoint *ep = &t->listening.bound;
    struct udptun_address address = {.family = ep->family, .port = ep->port};
    memcpy(address.ip, ep->ip, sizeof address.ip);
    char name[ENTRY_NAME_SIZE];
    char url[URL_TEXT_SIZE];
    memcpy(url, t->listening.url, sizeof url);
    snprintf(name, sizeof name, "%s", tunnel_name(t));
    struct udptun_bound bound = {.url = url, .fd = t->listening.socket, .address = &address};
    /* The app may remove the tunnel: `t` is not touched afterwards. */
    callbacks->ready(callbacks->arg, name, &bound, t->listening.kind == URL_NONE ? 0 : 1);
}
