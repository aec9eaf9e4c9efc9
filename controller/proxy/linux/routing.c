/* SPDX-License-Identifier: Apache-2.0 */
/* routing.c - see routing.h. */
#include "controller/proxy/linux/routing.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fib_rules.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <unistd.h>

enum { DUMP_TRIES = 5 }; /* others may change routes while we read them */

int routing_open(struct routing *r, struct udptun_error *err)
{
    *r = (struct routing){.nl.fd = -1, .lock = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC)};
    if (r->lock < 0)
        return error_set_errno(err, UDPTUN_E_SYSTEM, errno, NULL, "/proc/self/ns/net");
    /* A socket would tell, too, but not to a service that may have none. */
    r->has_ip6 = access("/proc/self/net/if_inet6", F_OK) == 0;
    if (flock(r->lock, LOCK_EX | LOCK_NB) == 0)
        return nl_open(&r->nl, err);
    if (errno == EWOULDBLOCK)
        return error_set(err, UDPTUN_E_CONFLICT, NULL,
                         "another ProxyController has the routing of this machine "
                         "(of this network namespace)");
    return error_set_errno(err, UDPTUN_E_SYSTEM, errno, NULL, "lock of the network namespace");
}

void routing_close(struct routing *r)
{
    nl_close(&r->nl);
    if (r->lock >= 0)
        close(r->lock);
    r->lock = -1;
}

/* ---- what is there --------------------------------------------------------------------------- */

struct present {
    struct plan_rule *rules;
    size_t rule_count;
    struct plan_route *routes;
    size_t route_count;
    bool no_memory;
};

static void note_rule(void *arg, const struct nlmsghdr *message)
{
    struct present *present = arg;
    struct plan_rule rule;
    if (!plan_rule_decode(message, &rule))
        return;
    struct plan_rule *grown =
        realloc(present->rules, (present->rule_count + 1) * sizeof *present->rules);
    present->no_memory = present->no_memory || !grown;
    if (!grown)
        return;
    present->rules = grown;
    present->rules[present->rule_count++] = rule;
}

static void note_route(void *arg, const struct nlmsghdr *message)
{
    struct present *present = arg;
    struct plan_route route;
    if (!plan_route_decode(message, &route))
        return;
    struct plan_route *grown =
        realloc(present->routes, (present->route_count + 1) * sizeof *present->routes);
    present->no_memory = present->no_memory || !grown;
    if (!grown)
        return;
    present->routes = grown;
    present->routes[present->route_count++] = route;
}

static void routing_forget(struct present *present)
{
    free(present->rules);
    free(present->routes);
    *present = (struct present){0};
}

static int dump_family(struct routing *r, uint8_t family, struct present *present)
{
    struct nl_message m;
    struct fib_rule_hdr *rule = nl_begin(&m, RTM_GETRULE, NLM_F_DUMP, sizeof *rule);
    rule->family = family;
    int rc = nl_talk(&r->nl, &m, note_rule, present);
    if (rc < 0)
        return rc;
    for (uint32_t table = PLAN_TABLE; table <= PLAN_NEAR_TABLE && rc == 0; table++) {
        struct rtmsg *route = nl_begin(&m, RTM_GETROUTE, NLM_F_DUMP, sizeof *route);
        route->rtm_family = family;
        nl_put_u32(&m, RTA_TABLE, table);
        rc = nl_talk(&r->nl, &m, note_route, present);
        rc = rc == -ENOENT ? 0 : rc; /* the table does not exist */
    }
    return rc;
}

static int dump(struct routing *r, struct present *present, struct udptun_error *err)
{
    int rc = 0;
    for (int i = 0; i < DUMP_TRIES; i++) {
        routing_forget(present);
        rc = dump_family(r, AF_INET, present);
        if (rc == 0 && r->has_ip6)
            rc = dump_family(r, AF_INET6, present);
        if (rc != -EINTR)
            break;
    }
    if (rc < 0)
        return nl_error(&r->nl, rc, UDPTUN_E_ROUTING, err, "cannot read the routing");
    if (present->no_memory)
        return error_set(err, UDPTUN_E_NOMEM, NULL, "out of memory");
    return 0;
}

/* ---- what is to be --------------------------------------------------------------------------- */

static int add_routes(struct routing *r, const struct plan *plan, bool *added,
                      struct udptun_error *err)
{
    for (size_t i = 0; i < plan->route_count; i++) {
        const struct plan_route *route = &plan->routes[i];
        struct nl_message m;
        plan_route_encode(route, RTM_NEWROUTE, &m);
        int rc = nl_talk(&r->nl, &m, NULL, NULL);
        *added = *added || rc == 0;
        /* A device without IPv6: the unreachable route stands for it. */
        bool without = route->family == AF_INET6 && route->device &&
                       (rc == -EACCES || rc == -EINVAL || rc == -ENODEV);
        /* A network of others, which may be gone since it was looked at. */
        without = without || (route->table != PLAN_TABLE && rc < 0);
        if (rc < 0 && rc != -EEXIST && !without)
            return nl_error(&r->nl, rc, UDPTUN_E_ROUTING, err,
                            route->family == AF_INET6 ? "cannot add the IPv6 route into the device"
                                                      : "cannot add the route into the device");
    }
    return 0;
}

static int change_rule(struct routing *r, const struct plan_rule *rule, uint16_t type)
{
    struct nl_message m;
    plan_rule_encode(rule, type, &m);
    return nl_talk(&r->nl, &m, NULL, NULL);
}

static int add_rules(struct routing *r, const struct plan *plan, bool into, bool *added,
                     struct udptun_error *err)
{
    for (size_t i = 0; i < plan->rule_count; i++) {
        const struct plan_rule *rule = &plan->rules[i];
        if (plan_rule_is_into(rule) != into)
            continue;
        int rc = change_rule(r, rule, RTM_NEWRULE);
        *added = *added || rc == 0;
        if (rc < 0 && rc != -EEXIST)
            return nl_error(&r->nl, rc, UDPTUN_E_ROUTING, err, "cannot add a routing rule");
    }
    return 0;
}

/* Rules that are not of the plan; `into` alone those that lead into the device, else the others. */
static int delete_rules(struct routing *r, const struct present *present, const struct plan *plan,
                        bool into, struct udptun_error *err)
{
    int result = 0;
    for (size_t i = 0; i < present->rule_count; i++) {
        const struct plan_rule *rule = &present->rules[i];
        if (plan_rule_is_into(rule) != into || plan_has_rule(plan, rule))
            continue;
        int rc = change_rule(r, rule, RTM_DELRULE);
        if (rc < 0 && rc != -ENOENT && result == 0)
            result = nl_error(&r->nl, rc, UDPTUN_E_ROUTING, err, "cannot delete a routing rule");
    }
    return result;
}

static int delete_routes(struct routing *r, const struct present *present, const struct plan *plan,
                         struct udptun_error *err)
{
    int result = 0;
    for (size_t i = 0; i < present->route_count; i++) {
        const struct plan_route *route = &present->routes[i];
        struct nl_message m;
        if (plan_has_route(plan, route))
            continue;
        plan_route_encode(route, RTM_DELROUTE, &m);
        int rc = nl_talk(&r->nl, &m, NULL, NULL);
        if (rc < 0 && rc != -ESRCH && rc != -ENODEV && result == 0)
            result = nl_error(&r->nl, rc, UDPTUN_E_ROUTING, err, "cannot delete a route");
    }
    return result;
}

int routing_set(struct routing *r, const struct plan *plan, bool *repaired,
                struct udptun_error *err)
{
    static const struct plan nothing = {0};
    bool added = false;
    const struct plan *wanted = plan ? plan : &nothing;
    struct present present = {0};
    int rc = add_routes(r, wanted, &added, err);
    if (rc == 0)
        rc = add_rules(r, wanted, false, &added, err);
    if (rc == 0)
        rc = add_rules(r, wanted, true, &added, err);
    if (rc == 0)
        rc = dump(r, &present, err);
    if (rc == 0)
        rc = delete_rules(r, &present, wanted, true, err);
    if (rc == 0)
        rc = delete_rules(r, &present, wanted, false, err);
    if (rc == 0)
        rc = delete_routes(r, &present, wanted, err);
    routing_forget(&present);
    if (repaired)
        *repaired = added;
    return rc;
}

/* ---- a look ---------------------------------------------------------------------------------- */

bool routing_is_set(struct routing *r)
{
    struct present present = {0};
    struct udptun_error ignored;
    bool is_set = dump(r, &present, &ignored) == 0 && present.rule_count > 0;
    routing_forget(&present);
    return is_set;
}

struct way {
    uint8_t type;
    uint32_t device;
};

static void note_way(void *arg, const struct nlmsghdr *message)
{
    struct way *way = arg;
    const struct rtattr *a[RTA_OIF + 1];
    const struct rtmsg *head = NLMSG_DATA(message);
    if (message->nlmsg_type != RTM_NEWROUTE)
        return;
    nl_parse(message, sizeof *head, a, RTA_OIF);
    *way = (struct way){.type = head->rtm_type, .device = nl_get_u32(a[RTA_OIF])};
}

int routing_find(struct routing *r, const struct udptun_endpoint *to, uint32_t mark,
                 enum route_kind *kind, uint32_t *device, struct udptun_error *err)
{
    struct nl_message m;
    bool is_ip4 = to->family == UDPTUN_ENDPOINT_IP4;
    struct way way = {.type = RTN_UNSPEC};
    struct rtmsg *head = nl_begin(&m, RTM_GETROUTE, 0, sizeof *head);
    head->rtm_family = is_ip4 ? AF_INET : AF_INET6;
    head->rtm_dst_len = is_ip4 ? 32 : 128;
    nl_put(&m, RTA_DST, to->ip, is_ip4 ? 4 : 16);
    if (mark)
        nl_put_u32(&m, RTA_MARK, mark);
    int rc = nl_talk(&r->nl, &m, note_way, &way);
    *kind = way.type == RTN_UNICAST     ? ROUTE_REMOTE
            : way.type == RTN_LOCAL     ? ROUTE_LOCAL
            : way.type == RTN_BROADCAST ? ROUTE_BROADCAST
                                        : ROUTE_NONE;
    if (device)
        *device = way.device;
    if (rc == -ENETUNREACH || rc == -EHOSTUNREACH || rc == -EACCES || rc == -EINVAL)
        *kind = ROUTE_NONE; /* no route, or one of the types unreachable, prohibit, blackhole */
    else if (rc < 0)
        return nl_error(&r->nl, rc, UDPTUN_E_ROUTING, err, "cannot look up the route to the proxy");
    return 0;
}
