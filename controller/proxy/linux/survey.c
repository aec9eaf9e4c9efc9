/* SPDX-License-Identifier: Apache-2.0 */
/* survey.c - see survey.h. */
#include "controller/proxy/linux/survey.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/fib_rules.h>
#include <linux/if_addr.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

enum { DUMP_TRIES = 5 }; /* others may change something while we read */

/* What a device is called. */
struct link {
    uint32_t index;
    char name[SURVEY_NAME_SIZE];
};

enum { MOST_LINKS = 64 };

struct look {
    struct link links[MOST_LINKS];
    size_t link_count;
    struct survey *survey;
    uint32_t device; /* ours */
    uint32_t first;  /* priority of our first rule */
};

/* ---- networks -------------------------------------------------------------------------------- */

static size_t address_size(uint8_t family)
{
    return family == AF_INET ? 4 : 16;
}

static bool survey_in_prefix(const uint8_t *to, const uint8_t *prefix, unsigned bits)
{
    unsigned whole = bits / 8, rest = bits % 8;
    if (memcmp(to, prefix, whole) != 0)
        return false;
    return rest == 0 || (to[whole] ^ prefix[whole]) >> (8 - rest) == 0;
}

static void survey_mask(uint8_t *to, uint8_t family, unsigned bits)
{
    for (unsigned i = 0; i < address_size(family); i++) {
        unsigned kept = bits > i * 8 ? bits - i * 8 : 0;
        if (kept < 8)
            to[i] &= (uint8_t)(0xff00U >> kept);
    }
}

bool survey_is_lan(uint8_t family, const uint8_t *to, uint8_t prefix_size)
{
    static const struct {
        uint8_t family, bits, prefix[2];
    } ranges[] = {
        {AF_INET, 8, {10, 0}},        {AF_INET, 12, {172, 16}},  {AF_INET, 16, {192, 168}},
        {AF_INET, 10, {100, 64}},     {AF_INET, 16, {169, 254}}, {AF_INET6, 7, {0xfc, 0}},
        {AF_INET6, 10, {0xfe, 0x80}},
    };
    if (family == AF_INET && prefix_size < 16)
        return false;
    for (size_t i = 0; i < sizeof ranges / sizeof *ranges; i++) {
        if (ranges[i].family == family && prefix_size >= ranges[i].bits &&
            survey_in_prefix(to, ranges[i].prefix, ranges[i].bits))
            return true;
    }
    return false;
}

static void note_link(void *arg, const struct nlmsghdr *message)
{
    struct look *look = arg;
    const struct ifinfomsg *head = NLMSG_DATA(message);
    const struct rtattr *a[IFLA_IFNAME + 1];
    if (message->nlmsg_type != RTM_NEWLINK || look->link_count == MOST_LINKS ||
        (head->ifi_flags & IFF_LOOPBACK))
        return;
    nl_parse(message, sizeof *head, a, IFLA_IFNAME);
    if (!a[IFLA_IFNAME])
        return;
    struct link *link = &look->links[look->link_count++];
    link->index = (uint32_t)head->ifi_index;
    snprintf(link->name, sizeof link->name, "%.*s", (int)RTA_PAYLOAD(a[IFLA_IFNAME]),
             (const char *)RTA_DATA(a[IFLA_IFNAME]));
}

/* NULL: loopback, or one that has come just now, which is told as a change of the network. */
static const char *survey_name_of(const struct look *look, uint32_t index)
{
    for (size_t i = 0; i < look->link_count; i++) {
        if (look->links[i].index == index)
            return look->links[i].name;
    }
    return NULL;
}

static const struct survey_network *find_network(const struct survey *s, uint8_t family,
                                                 const uint8_t *to, uint8_t prefix_size,
                                                 uint32_t device)
{
    for (size_t i = 0; i < s->network_count; i++) {
        const struct survey_network *one = &s->networks[i];
        if (one->family == family && one->prefix_size == prefix_size && one->device == device &&
            memcmp(one->to, to, sizeof one->to) == 0)
            return one;
    }
    return NULL;
}

static void note_address(void *arg, const struct nlmsghdr *message)
{
    struct look *look = arg;
    struct survey *s = look->survey;
    const struct ifaddrmsg *head = NLMSG_DATA(message);
    const struct rtattr *a[IFA_ADDRESS + 1];
    struct survey_network network = {
        .family = head->ifa_family, .prefix_size = head->ifa_prefixlen, .device = head->ifa_index};
    if (message->nlmsg_type != RTM_NEWADDR || head->ifa_index == look->device ||
        (head->ifa_family != AF_INET && head->ifa_family != AF_INET6) ||
        head->ifa_prefixlen > address_size(head->ifa_family) * 8)
        return;
    nl_parse(message, sizeof *head, a, IFA_ADDRESS);
    const char *name = survey_name_of(look, head->ifa_index);
    if (!a[IFA_ADDRESS] || RTA_PAYLOAD(a[IFA_ADDRESS]) < address_size(head->ifa_family) || !name)
        return;
    memcpy(network.name, name, sizeof network.name);
    memcpy(network.to, RTA_DATA(a[IFA_ADDRESS]), address_size(head->ifa_family));
    survey_mask(network.to, network.family, network.prefix_size);
    if (s->network_count == SURVEY_MAX_NETWORKS ||
        find_network(s, network.family, network.to, network.prefix_size, network.device))
        return;
    network.is_lan = survey_is_lan(network.family, network.to, network.prefix_size);
    s->networks[s->network_count++] = network;
}

/* ---- ways out -------------------------------------------------------------------------------- */

static char *next_warning(struct survey *s)
{
    if (s->warning_count == SURVEY_MAX_WARNINGS) {
        s->more++;
        return NULL;
    }
    return s->warnings[s->warning_count++];
}

/* A network that the machine is part of, as most machines are of one. */
static bool is_usual(const struct survey *s, const struct rtmsg *head, const uint8_t *to,
                     uint32_t device)
{
    if (survey_is_lan(head->rtm_family, to, head->rtm_dst_len))
        return true;
    return head->rtm_dst_len >= (head->rtm_family == AF_INET ? 16 : 48) &&
           find_network(s, head->rtm_family, to, head->rtm_dst_len, device);
}

static void note_route(void *arg, const struct nlmsghdr *message)
{
    struct look *look = arg;
    const struct rtmsg *head = NLMSG_DATA(message);
    const struct rtattr *a[RTA_VIA + 1];
    uint8_t to[16] = {0};
    char text[INET6_ADDRSTRLEN];
    if (message->nlmsg_type != RTM_NEWROUTE || head->rtm_type != RTN_UNICAST ||
        head->rtm_dst_len == 0 || head->rtm_table != RT_TABLE_MAIN ||
        (head->rtm_flags & RTM_F_CLONED))
        return;
    nl_parse(message, sizeof *head, a, RTA_VIA);
    uint32_t device = nl_get_u32(a[RTA_OIF]);
    if (!a[RTA_DST] || RTA_PAYLOAD(a[RTA_DST]) < address_size(head->rtm_family) ||
        device == look->device)
        return;
    memcpy(to, RTA_DATA(a[RTA_DST]), address_size(head->rtm_family));
    const char *name = survey_name_of(look, device);
    if (device && !name)
        return;
    bool is_direct = device && !a[RTA_GATEWAY] && !a[RTA_VIA] && !a[RTA_MULTIPATH];
    if (is_direct && is_usual(look->survey, head, to, device))
        return;
    char *warning = next_warning(look->survey);
    inet_ntop(head->rtm_family, to, text, sizeof text);
    if (warning)
        snprintf(warning, sizeof look->survey->warnings[0],
                 "the route %s/%u%s%s takes traffic out beside the device", text, head->rtm_dst_len,
                 name ? " by " : "", name ? name : "");
}

static void note_rule(void *arg, const struct nlmsghdr *message)
{
    struct look *look = arg;
    const struct fib_rule_hdr *head = NLMSG_DATA(message);
    const struct rtattr *a[FRA_PROTOCOL + 1];
    if (message->nlmsg_type != RTM_NEWRULE || head->action != FR_ACT_TO_TBL)
        return;
    nl_parse(message, sizeof *head, a, FRA_PROTOCOL);
    uint32_t table = a[FRA_TABLE] ? nl_get_u32(a[FRA_TABLE]) : head->table;
    uint32_t priority = nl_get_u32(a[FRA_PRIORITY]);
    if (priority >= look->first || table == RT_TABLE_LOCAL || table == 0 || a[FRA_L3MDEV])
        return;
    char *warning = next_warning(look->survey);
    if (warning)
        snprintf(warning, sizeof look->survey->warnings[0],
                 "the %s rule with priority %u (table %u) comes before ours and may take traffic "
                 "out beside the device",
                 head->family == AF_INET ? "IPv4" : "IPv6", priority, table);
}

/* ---- a look ---------------------------------------------------------------------------------- */

static int dump_addresses(struct nl *nl, struct look *look)
{
    struct nl_message m;
    struct ifinfomsg *link = nl_begin(&m, RTM_GETLINK, NLM_F_DUMP, sizeof *link);
    link->ifi_family = AF_UNSPEC;
    look->link_count = 0;
    int rc = nl_talk(nl, &m, note_link, look);
    if (rc < 0)
        return rc;
    struct ifaddrmsg *head = nl_begin(&m, RTM_GETADDR, NLM_F_DUMP, sizeof *head);
    head->ifa_family = AF_UNSPEC;
    return nl_talk(nl, &m, note_address, look);
}

static int dump_ways(struct nl *nl, struct look *look, uint8_t family)
{
    struct nl_message m;
    struct rtmsg *route = nl_begin(&m, RTM_GETROUTE, NLM_F_DUMP, sizeof *route);
    route->rtm_family = family;
    nl_put_u32(&m, RTA_TABLE, RT_TABLE_MAIN);
    int rc = nl_talk(nl, &m, note_route, look);
    if (rc < 0 && rc != -ENOENT)
        return rc;
    struct fib_rule_hdr *rule = nl_begin(&m, RTM_GETRULE, NLM_F_DUMP, sizeof *rule);
    rule->family = family;
    return nl_talk(nl, &m, note_rule, look);
}

int survey_take(struct nl *nl, uint32_t device, bool with_ways, uint32_t first, struct survey *s,
                struct udptun_error *err)
{
    struct look look = {.survey = s, .device = device, .first = first};
    int rc = 0;
    for (int i = 0; i < DUMP_TRIES; i++) {
        *s = (struct survey){0};
        rc = dump_addresses(nl, &look);
        if (rc == 0 && with_ways)
            rc = dump_ways(nl, &look, AF_INET);
        if (rc == 0 && with_ways)
            rc = dump_ways(nl, &look, AF_INET6);
        if (rc == -EAFNOSUPPORT || rc == -EOPNOTSUPP) /* no IPv6 */
            rc = 0;
        if (rc != -EINTR)
            break;
    }
    return rc < 0 ? nl_error(nl, rc, UDPTUN_E_ROUTING, err, "cannot read the network") : 0;
}
