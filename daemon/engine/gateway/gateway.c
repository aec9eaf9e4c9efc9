/* SPDX-License-Identifier: Apache-2.0 */
/* gateway.c - the life of a tun2socks instance: its device on the loop, its clock, its state. */
#include "daemon/engine/gateway/gateway.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/engine/core/notices.h"
#include "daemon/engine/core/registry.h"
#include "daemon/engine/streams/resolver.h"
#include "daemon/platform/device.h"
#include "proto/error.h"

/* Between attempts to get a lost device back; it doubles. */
enum { REOPEN_US = 1000000, REOPEN_MOST_US = 30000000 };

struct socket_rules gateway_rules(const struct gateway *t)
{
    struct socket_rules rules = t->config->rules;
    engine_fill_rules(t->engine, &rules);
    rules.leaves_spare = true;
    return rules;
}

/* ---- state --------------------------------------------------------------------------------------
 */

void gateway_enter_state(struct gateway *t, enum udptun_state state, const char *reason)
{
    snprintf(t->last_error, sizeof t->last_error, "%s", reason);
    if (t->is_closing || t->state == state)
        return;
    bool is_bad = state == UDPTUN_FAILED || state == UDPTUN_DEGRADED;
    engine_log(t->engine, is_bad ? UDPTUN_LOG_WARN : UDPTUN_LOG_INFO, "tun2socks",
               "%s: %s -> %s%s%s", gateway_name(t), udptun_state_name(t->state),
               udptun_state_name(state), *reason ? ": " : "", reason);
    t->state = state;
    const struct udptun_tun2socks_config *c = &t->config->given;
    notice_state(t->engine, c->state, c->arg, gateway_name(t), state, reason);
    registry_tell(t->engine, gateway_name(t), state, reason);
}

/* The device is there: what the two sides say decides. */
static void enter_running(struct gateway *t)
{
    static const char *const names[GATEWAY_SIDE_COUNT] = {
        [GATEWAY_SIDE_LOOP] = "loop", [GATEWAY_SIDE_TCP] = "tcp", [GATEWAY_SIDE_UDP] = "udp"};
    char reason[GATEWAY_SIDE_COUNT * (sizeof t->far_error[0] + 8)] = "";
    size_t used = 0;
    for (int side = 0; side < GATEWAY_SIDE_COUNT; side++)
        if (t->far_error[side][0])
            used += (size_t)snprintf(reason + used, sizeof reason - used, "%s%s: %s",
                                     used ? "; " : "", names[side], t->far_error[side]);
    gateway_enter_state(t, *reason ? UDPTUN_DEGRADED : UDPTUN_ESTABLISHED, reason);
}

void gateway_far_end(struct gateway *t, enum gateway_side side, const char *reason)
{
    char *error = t->far_error[side];
    if (!reason && !*error)
        return;
    snprintf(error, sizeof t->far_error[side], "%s", reason ? reason : "");
    if (t->state == UDPTUN_ESTABLISHED || t->state == UDPTUN_DEGRADED)
        enter_running(t);
}

/* ---- the device ---------------------------------------------------------------------------------
 */

static void gateway_close_pipe(struct gateway *t)
{
    if (t->pipe != NO_SOCKET)
        socket_close(t->pipe);
    t->pipe = NO_SOCKET;
}

static void on_device(void *arg)
{
    tun2socks_readable(((struct gateway *)arg)->stack);
}

static struct device *open_device(struct gateway *t, struct udptun_error *err)
{
    const struct gateway_settings *c = t->config;
    uint32_t mtu = c->given.mtu == UDPTUN_DEFAULT ? 0 : (uint32_t)c->given.mtu;
    char notice[160] = "";
    struct device *d = NULL;
    switch (c->kind) {
    case GATEWAY_DEVICE_TUN: {
        struct tun_device_config config = {c->place, c->given.address, c->given.address6, mtu};
        d = device_open_tun(&config, notice, err);
        if (notice[0])
            engine_log(t->engine, UDPTUN_LOG_WARN, "tun2socks", "%s: %s", gateway_name(t), notice);
        break;
    }
    case GATEWAY_DEVICE_PIPE:
        gateway_close_pipe(t);
        d = device_open_pipe(&t->pipe, err);
        break;
    case GATEWAY_DEVICE_APP:
        d = device_app_open(t, mtu, err);
        break;
    case GATEWAY_DEVICE_UNIX:
        d = device_open_unix(c->place, mtu, err);
        break;
    case GATEWAY_DEVICE_FD: {
        udptun_socket copy;
        int failure = socket_copy(c->given.fd, &copy);
        if (failure)
            error_set_errno(err, UDPTUN_E_INVALID, failure, "device", "device");
        else
            d = device_open_fd(copy, mtu, err);
        break;
    }
    }
    if (!d)
        return NULL;
    if (d->ops->watch && d->ops->watch(d, &t->engine->loop, on_device, t) != UDPTUN_OK) {
        error_set(err, UDPTUN_E_NOMEM, "device", "out of memory");
        d->ops->close(d);
        return NULL;
    }
    t->mtu = d->mtu;
    snprintf(t->device_name, sizeof t->device_name, "%s%s",
             c->kind == GATEWAY_DEVICE_TUN ? "tun:" : "",
             c->kind == GATEWAY_DEVICE_TUN ? d->name : c->given.device);
    return d;
}

/* Idle until the device is there again. */
static void gateway_lose_device(struct gateway *t, const char *reason)
{
    gateway_enter_state(t, UDPTUN_FAILED, reason);
    if (t->config->kind == GATEWAY_DEVICE_FD)
        return;
    t->reopen_us = t->reopen_us == 0 ? REOPEN_US : t->reopen_us * 2;
    if (t->reopen_us > REOPEN_MOST_US)
        t->reopen_us = REOPEN_MOST_US;
    timer_start(&t->reopen, t->reopen_us);
}

/* The device is closed by now. */
static void on_lost(void *arg, const struct udptun_error *err)
{
    gateway_lose_device((struct gateway *)arg, err->message);
}

/* Get the device again, or try again later. */
static void reopen(struct gateway *t)
{
    struct udptun_error err = {0};
    timer_stop(&t->reopen); /* a change of the network may have come before it */
    struct device *d = open_device(t, &err);
    if (!d) {
        gateway_lose_device(t, err.message);
        return;
    }
    t->reopen_us = 0;
    tun2socks_attach(t->stack, d);
    enter_running(t);
}

static void on_reopen(void *arg)
{
    reopen((struct gateway *)arg);
}

void gateway_network_changed(struct gateway *t)
{
    if (t->resolver)
        resolver_flush(t->resolver);
    if (timer_is_on(&t->reopen))
        reopen(t);
}

static void release_device(struct gateway *t)
{
    timer_stop(&t->reopen);
    if (t->stack)
        tun2socks_attach(t->stack, NULL);
    gateway_close_pipe(t);
}

/* ---- configuration ------------------------------------------------------------------------------
 */

static void choose_udp(struct gateway *t)
{
    static const struct gateway_udp_ops *const ops[] = {[GATEWAY_REJECT] = NULL,
                                                        [GATEWAY_DIRECT] = &gateway_udp_direct_ops,
                                                        [GATEWAY_SOCKS5] = &gateway_udp_socks5_ops,
                                                        [GATEWAY_TUNNEL] = &gateway_udp_tunnel_ops};
    t->udp = ops[t->config->udp];
    t->associated = -1;
    t->relay_count = 0;
    t->unassociated_until_us = t->associate_after_us = 0;
}

/* `dns` is another, or the path to it. */
static void change_dns(struct gateway *t)
{
    gateway_dns_free(t->dns);
    t->dns = t->config->has_dns && t->stack ? gateway_dns_new(t) : NULL;
    t->dns_pending = false;
}

/* `udp` is another: its flows end, by the functions that made them. */
static void change_udp(struct gateway *t)
{
    if (t->stack)
        tun2socks_forget_bindings(t->stack);
    gateway_dns_free(t->dns);
    t->dns = NULL;
    gateway_udp_tunnel_leave(t);
    choose_udp(t);
    t->udp_pending = false;
    t->dns_pending = true;
}

/* Let the stack have the configuration. Not while a callback of the app is on the stack: a flow
 * that may have to end could be below it. */
static void configure_stack(struct gateway *t)
{
    struct tun2socks_config config;
    if (t->engine->in_app > 0) {
        t->configure_pending = true;
        engine_turn_again(t->engine);
        return;
    }
    if (t->udp_pending)
        change_udp(t);
    if (t->dns_pending)
        change_dns(t);
    gateway_fill_config(t, &config);
    if (t->stack)
        tun2socks_set(t->stack, &config);
    t->configure_pending = false;
}

/* ---- time ---------------------------------------------------------------------------------------
 */

void gateway_lacks_socket(struct gateway *t, const char *what)
{
    cap_descriptors(t->engine, &t->cap, "tun2socks", gateway_name(t), what);
    t->room_wanted++;
}

/* Not where it was lacked: flows were on the stack there. */
static void gateway_make_room(struct gateway *t)
{
    while (t->room_wanted > 0 && tun2socks_make_room(t->stack))
        t->room_wanted--;
    t->room_wanted = 0;
}

/* End of the turn, before the engine's: flows that the turn touched may have new deadlines. */
static void on_turn_end(struct turn_work *work)
{
    struct gateway *t = list_entry(work, struct gateway, work);
    uint64_t now_us = t->engine->loop.now_us;
    if (t->configure_pending)
        configure_stack(t);
    device_app_turn_end(t);
    if (t->room_wanted > 0 && t->engine->in_app == 0)
        gateway_make_room(t);
    uint64_t at_us = tun2socks_tick(t->stack);
    if (at_us == t->armed_us)
        return;
    t->armed_us = at_us;
    if (at_us == UINT64_MAX)
        timer_stop(&t->deadline);
    else
        timer_start(&t->deadline, at_us > now_us ? at_us - now_us : 0);
}

/* Nothing but a turn, at whose end the time is looked at. */
static void on_deadline(void *arg)
{
    ((struct gateway *)arg)->armed_us = 0;
}

/* ---- life ---------------------------------------------------------------------------------------
 */

static void init_watchers(struct gateway *t)
{
    struct loop *loop = &t->engine->loop;
    timer_init(&t->deadline, loop, on_deadline, t);
    timer_init(&t->reopen, loop, on_reopen, t);
    gateway_loop_init(t);
    t->work.run = on_turn_end;
    list_init(&t->work.node);
}

/* What is known of what lies behind: nothing, but for the state of a tunnel. */
static void forget_far_ends(struct gateway *t)
{
    for (int side = 0; side < GATEWAY_SIDE_COUNT; side++)
        t->far_error[side][0] = '\0';
    const struct tunnel *tunnel = tunnel_find(t->engine, t->config->tunnel);
    if (tunnel)
        gateway_udp_tunnel_state(t, tunnel->state, tunnel->last_error);
}

static int gateway_start(struct gateway *t, const struct gateway *old, struct udptun_error *err)
{
    struct tun2socks_config config;
    struct socket_rules rules = gateway_rules(t);
    t->resolver = resolver_new(&t->engine->loop, &rules, t->engine->hosts);
    if (!t->resolver)
        return error_set(err, UDPTUN_E_NOMEM, NULL, "%s: out of memory", gateway_name(t));
    if (old)
        resolver_inherit(t->resolver, old->resolver);
    int code = settings_try_mark(&rules, err);
    if (code)
        return code;
    struct device *d = open_device(t, err);
    if (!d)
        return UDPTUN_E_SYSTEM;
    if (t->config->has_dns && !(t->dns = gateway_dns_new(t))) {
        d->ops->close(d);
        return error_set(err, UDPTUN_E_NOMEM, NULL, "%s: out of memory", gateway_name(t));
    }
    gateway_fill_config(t, &config);
    config.device_lost = on_lost;
    t->stack = tun2socks_new(&config, d, err);
    if (!t->stack)
        return UDPTUN_E_CONFLICT;
    t->armed_us = UINT64_MAX;
    list_append(&t->engine->turn_work, &t->work.node);
    forget_far_ends(t);
    enter_running(t);
    return UDPTUN_OK;
}

void gateway_bury(struct gateway *t)
{
    t->is_closing = true;
    release_device(t);
    timer_stop(&t->deadline);
    gateway_loop_stop(t);
    list_remove(&t->work.node);
}

void gateway_free(struct gateway *t)
{
    if (!t)
        return;
    gateway_bury(t);
    gateway_dns_free(t->dns);
    t->dns = NULL;
    tun2socks_free(t->stack);
    gateway_udp_tunnel_leave(t);
    resolver_free(t->resolver);
    device_app_free(t);
    gateway_settings_free(t->config);
    list_remove(&t->entry.node);
    free(t);
}

struct gateway *gateway_new(struct udptun_engine *e, struct gateway_settings *config,
                            struct gateway *old, struct udptun_error *err)
{
    struct gateway *t = (struct gateway *)calloc(1, sizeof *t);
    if (!t) {
        error_set(err, UDPTUN_E_NOMEM, NULL, "out of memory");
        return NULL;
    }
    t->engine = e;
    t->config = config;
    t->state = UDPTUN_STARTING;
    t->pipe = NO_SOCKET;
    t->started_us = e->loop.now_us;
    list_init(&t->entry.node);
    list_init(&t->held);
    t->entry.kind = &gateway_kind;
    strcpy(t->entry.name, config->given.name);
    init_watchers(t);
    gateway_udp_tunnel_init(t);
    choose_udp(t);
    snprintf(t->device_name, sizeof t->device_name, "%s", config->given.device);
    if (!config->given.enabled) {
        gateway_enter_state(t, UDPTUN_DISABLED, "");
        return t;
    }
    bool takes_over = old && old->stack && gateway_settings_same_place(old->config, config);
    if (takes_over)
        release_device(old);
    if (gateway_start(t, old, err) == UDPTUN_OK)
        return t;
    if (takes_over)
        reopen(old);
    t->config = NULL; /* the caller's still */
    gateway_free(t);
    return NULL;
}

void gateway_reconfigure(struct gateway *t, struct gateway_settings *config)
{
    const char *was = t->config->given.udp, *is = config->given.udp;
    if (!was || !is ? was != is : strcmp(was, is) != 0)
        t->udp_pending = true;
    if (gateway_settings_differ_in_dns(t->config, config))
        t->dns_pending = true;
    gateway_settings_free(t->config);
    t->config = config;
    configure_stack(t);
    forget_far_ends(t);
    if (t->state == UDPTUN_DEGRADED)
        enter_running(t);
}
