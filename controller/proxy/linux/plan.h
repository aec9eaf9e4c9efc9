/* SPDX-License-Identifier: Apache-2.0 */
/*
 * plan.h - what the routing is to be, as data: rules and routes; and both as netlink messages.
 *
 * Pure: no socket, no state. routing.c makes the kernel's routing be what a plan says. routing.h
 * has the reasoning.
 */
#ifndef PROXY_LINUX_PLAN_H
#define PROXY_LINUX_PLAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "controller/proxy/linux/netlink.h"
#include "controller/proxy/linux/survey.h"
#include "controller/proxy/linux/wish.h"
#include "proto/endpoint.h"

/* What is ours bears this protocol number, rules (FRA_PROTOCOL) as well as routes (rtm_protocol).
 * It is in nobody's list (rt_protos); by it, and by it alone, we know our own after a crash. */
#define PLAN_PROTOCOL 85

/* Our routing tables. */
#define PLAN_TABLE      8500u /* the routes into the device */
#define PLAN_LAN_TABLE  8501u /* strict: connected networks that stay reachable */
#define PLAN_NEAR_TABLE 8502u /* strict: connected networks, for packets out of the device */

/* Priorities of our rules, in the order in which the kernel asks them. Before almost everything
 * that others add, behind the local table. With `strict` before everything: the same, PLAN_STRICT
 * lower. */
enum plan_priority {
    PLAN_ASIDE = 8500, /* the proxy, marked sockets, multicast: on behind PLAN_END */
    PLAN_LOCAL = 8501, /* the main table, its default routes left out; strict: PLAN_LAN_TABLE */
    PLAN_INTO = 8502,  /* all the rest: into the device */
    PLAN_END = 8510,   /* does nothing; where what stays outside goes on */
};
#define PLAN_STRICT 8499u

enum {
    PLAN_MAX_RULES = 192,
    PLAN_MAX_ROUTES = 4 + 2 * SURVEY_MAX_NETWORKS,
};

struct plan_rule {
    uint8_t family;         /* AF_INET, AF_INET6 */
    uint8_t action;         /* FR_ACT_GOTO, FR_ACT_TO_TBL, FR_ACT_NOP */
    uint8_t prefix_size;    /* bits of `to`; 0: any destination */
    uint8_t to[16];         /* network byte order, unused bytes 0 */
    uint8_t protocol;       /* IPPROTO_UDP, IPPROTO_TCP; 0: any */
    uint16_t port;          /* of the destination; 0: any */
    uint32_t priority;      /* enum plan_priority */
    uint32_t mark;          /* 0: any */
    uint32_t table;         /* of FR_ACT_TO_TBL, else 0 */
    uint32_t target;        /* of FR_ACT_GOTO, else 0 */
    int32_t suppressed_len; /* routes with a prefix no longer than this do not count; -1: all do */
    char in[SURVEY_NAME_SIZE], out[SURVEY_NAME_SIZE]; /* device; "": any */
};

/* A route in one of our tables. */
struct plan_route {
    uint8_t family;
    uint8_t type; /* RTN_UNICAST, RTN_UNREACHABLE */
    uint8_t prefix_size;
    uint8_t to[16];
    uint32_t table;
    uint32_t device;
    uint32_t metric;
};

struct plan {
    struct plan_rule rules[PLAN_MAX_RULES];
    size_t rule_count;
    struct plan_route routes[PLAN_MAX_ROUTES];
    size_t route_count;
};

/* `survey` is needed for `strict` and `dns` alone, and may be NULL without. */
void plan_make(struct plan *plan, const struct wish *wish, const struct survey *survey);

bool plan_has_rule(const struct plan *plan, const struct plan_rule *rule);
bool plan_has_route(const struct plan *plan, const struct plan_route *route);

/* Both have the same rules and routes. */
bool plan_is_same(const struct plan *a, const struct plan *b);

/* The rule leads into the device. */
bool plan_rule_is_into(const struct plan_rule *rule);

/* As messages to add (RTM_NEWRULE, RTM_NEWROUTE; it is an error if it exists) or to delete. */
void plan_rule_encode(const struct plan_rule *rule, uint16_t type, struct nl_message *m);
void plan_route_encode(const struct plan_route *route, uint16_t type, struct nl_message *m);

/* From messages of a dump. False: it is not one of ours. */
bool plan_rule_decode(const struct nlmsghdr *message, struct plan_rule *rule);
bool plan_route_decode(const struct nlmsghdr *message, struct plan_route *route);

#endif
