/* SPDX-License-Identifier: Apache-2.0 */
/* device_link.c - see device_link.h. */
#include "controller/proxy/linux/device_link.h"

#include <errno.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <string.h>
#include <sys/socket.h>

#define ALIAS "ProxyController of udptun"

enum {
    TX_QUEUE_PACKETS = 10000, /* with the usual 500 four bulk flows lose packets */
    MOST_LEFT = 16,           /* devices that crashes have left under different names */
};

static struct ifinfomsg *begin_link(struct nl_message *m, uint16_t type, uint32_t index)
{
    struct ifinfomsg *head = nl_begin(m, type, 0, sizeof *head);
    head->ifi_family = AF_UNSPEC;
    head->ifi_index = (int)index;
    return head;
}

static int device_link_talk(struct nl *nl, struct nl_message *m, const char *what,
                            struct udptun_error *err)
{
    int rc = nl_talk(nl, m, NULL, NULL);
    return rc < 0 ? nl_error(nl, rc, UDPTUN_E_SYSTEM, err, what) : UDPTUN_OK;
}

/* A link-local address would bring router solicitations into the device, and routes. A kernel
 * without IPv6 refuses the wish. */
static void no_kernel_address(struct nl *nl, uint32_t index)
{
    struct nl_message m;
    uint8_t none = IN6_ADDR_GEN_MODE_NONE;
    begin_link(&m, RTM_NEWLINK, index);
    struct rtattr *spec = nl_nest(&m, IFLA_AF_SPEC);
    struct rtattr *ip6 = nl_nest(&m, AF_INET6);
    nl_put(&m, IFLA_INET6_ADDR_GEN_MODE, &none, sizeof none);
    nl_nest_end(&m, ip6);
    nl_nest_end(&m, spec);
    nl_talk(nl, &m, NULL, NULL);
}

int link_prepare(struct nl *nl, uint32_t index, uint32_t mtu, struct udptun_error *err)
{
    struct nl_message m;
    begin_link(&m, RTM_NEWLINK, index);
    nl_put(&m, IFLA_IFALIAS, ALIAS, sizeof ALIAS - 1);
    nl_put_u32(&m, IFLA_MTU, mtu);
    nl_put_u32(&m, IFLA_TXQLEN, TX_QUEUE_PACKETS);
    int rc = device_link_talk(nl, &m, "cannot set up the TUN device", err);
    if (rc == 0)
        no_kernel_address(nl, index);
    return rc;
}

int link_set_mtu(struct nl *nl, uint32_t index, uint32_t mtu, struct udptun_error *err)
{
    struct nl_message m;
    begin_link(&m, RTM_NEWLINK, index);
    nl_put_u32(&m, IFLA_MTU, mtu);
    return device_link_talk(nl, &m, "cannot set the MTU of the TUN device", err);
}

int link_set_up(struct nl *nl, uint32_t index, bool up, struct udptun_error *err)
{
    struct nl_message m;
    struct ifinfomsg *head = begin_link(&m, RTM_NEWLINK, index);
    head->ifi_change = IFF_UP;
    head->ifi_flags = up ? IFF_UP : 0;
    return device_link_talk(
        nl, &m, up ? "cannot bring the TUN device up" : "cannot take the TUN device down", err);
}

static void note_carrier(void *arg, const struct nlmsghdr *message)
{
    bool *carrier = arg;
    const struct rtattr *a[IFLA_CARRIER + 1];
    if (message->nlmsg_type != RTM_NEWLINK)
        return;
    nl_parse(message, sizeof(struct ifinfomsg), a, IFLA_CARRIER);
    if (a[IFLA_CARRIER] && RTA_PAYLOAD(a[IFLA_CARRIER]) >= 1)
        *carrier = *(const uint8_t *)RTA_DATA(a[IFLA_CARRIER]) != 0;
}

bool link_has_carrier(struct nl *nl, uint32_t index)
{
    struct nl_message m;
    bool carrier = true; /* if it cannot be asked, nothing is wrong with it */
    begin_link(&m, RTM_GETLINK, index);
    nl_talk(nl, &m, note_carrier, &carrier);
    return carrier;
}

static void begin_address(struct nl_message *m, uint16_t type, uint16_t flags, uint32_t index,
                          const struct device_address *address)
{
    bool is_ip4 = address->ip.family == UDPTUN_ENDPOINT_IP4;
    struct ifaddrmsg *head = nl_begin(m, type, flags, sizeof *head);
    head->ifa_family = is_ip4 ? AF_INET : AF_INET6;
    head->ifa_prefixlen = address->prefix_size;
    head->ifa_flags = is_ip4 ? 0 : IFA_F_NODAD;
    head->ifa_index = index;
    nl_put(m, IFA_LOCAL, address->ip.ip, is_ip4 ? 4 : 16);
    nl_put(m, IFA_ADDRESS, address->ip.ip, is_ip4 ? 4 : 16);
}

int link_add_address(struct nl *nl, uint32_t index, const struct device_address *address,
                     struct udptun_error *err)
{
    struct nl_message m;
    begin_address(&m, RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, index, address);
    int rc = nl_talk(nl, &m, NULL, NULL);
    return rc < 0 && rc != -EEXIST
               ? nl_error(nl, rc, UDPTUN_E_SYSTEM, err, "cannot give the TUN device its address")
               : UDPTUN_OK;
}

int link_delete_address(struct nl *nl, uint32_t index, const struct device_address *address,
                        struct udptun_error *err)
{
    struct nl_message m;
    begin_address(&m, RTM_DELADDR, 0, index, address);
    int rc = nl_talk(nl, &m, NULL, NULL);
    return rc < 0 && rc != -EADDRNOTAVAIL
               ? nl_error(nl, rc, UDPTUN_E_SYSTEM, err, "cannot take the TUN device's address away")
               : UDPTUN_OK;
}

void link_delete(struct nl *nl, uint32_t index)
{
    struct nl_message m;
    begin_link(&m, RTM_DELLINK, index);
    nl_talk(nl, &m, NULL, NULL);
}

struct found {
    uint32_t index[MOST_LEFT];
    size_t count;
};

static void note_ours(void *arg, const struct nlmsghdr *message)
{
    struct found *found = arg;
    const struct ifinfomsg *head = NLMSG_DATA(message);
    const struct rtattr *a[IFLA_IFALIAS + 1];
    nl_parse(message, sizeof *head, a, IFLA_IFALIAS);
    const struct rtattr *alias = a[IFLA_IFALIAS];
    if (message->nlmsg_type == RTM_NEWLINK && alias && RTA_PAYLOAD(alias) >= sizeof ALIAS - 1 &&
        memcmp(RTA_DATA(alias), ALIAS, sizeof ALIAS - 1) == 0 && found->count < MOST_LEFT)
        found->index[found->count++] = (uint32_t)head->ifi_index;
}

int link_delete_ours(struct nl *nl, uint32_t kept, bool *found_kept, struct udptun_error *err)
{
    struct nl_message m;
    struct found found = {0};
    struct ifinfomsg *head = nl_begin(&m, RTM_GETLINK, NLM_F_DUMP, sizeof *head);
    head->ifi_family = AF_UNSPEC;
    int rc = nl_talk(nl, &m, note_ours, &found);
    if (rc < 0 && rc != -EINTR)
        return nl_error(nl, rc, UDPTUN_E_SYSTEM, err, "cannot read the list of devices");
    for (size_t i = 0; i < found.count; i++) {
        if (found.index[i] == kept)
            *found_kept = true;
        else
            link_delete(nl, found.index[i]);
    }
    return UDPTUN_OK;
}
