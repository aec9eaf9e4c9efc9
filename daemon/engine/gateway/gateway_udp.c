/* SPDX-License-Identifier: Apache-2.0 */
/* gateway_udp.c - datagrams of a tun2socks instance, to what its configuration says. */
#include "daemon/engine/gateway/gateway.h"

static void gateway_udp_datagram(void *arg, void **binding, const struct udptun_endpoint *source,
                                 const struct udptun_endpoint *destination, const void *data,
                                 size_t size)
{
    struct gateway *t = (struct gateway *)arg;
    if (t->is_closing)
        return;
    if (t->udp_pending)
        tun2socks_lost(t->stack);
    else if (t->dns && destination->port == DNS_PORT)
        gateway_dns_datagram(t->dns, source, destination, data, size);
    else if (!t->udp)
        tun2socks_reject(t->stack, source, destination);
    else
        t->udp->datagram(t, binding, source, destination, data, size);
}

static void gateway_udp_binding_close(void *arg, void *binding)
{
    struct gateway *t = (struct gateway *)arg;
    t->udp->binding_close(t, binding);
}

const struct tun2socks_datagram_host gateway_udp_host = {
    .datagram = gateway_udp_datagram, .binding_close = gateway_udp_binding_close};

void gateway_udp_deliver(struct gateway *t, const struct udptun_endpoint *app,
                         const struct udptun_endpoint *from, const void *data, size_t size)
{
    if (t->dns && gateway_dns_owns(app))
        gateway_dns_answer(t->dns, app, from, data, size);
    else
        tun2socks_datagram(t->stack, app, from, data, size);
}

void gateway_udp_unreachable(struct gateway *t, const struct udptun_endpoint *app,
                             const struct udptun_endpoint *to, enum tun2socks_unreachable why,
                             uint32_t mtu)
{
    if (t->dns && gateway_dns_owns(app))
        gateway_dns_unreachable(t->dns, app, why);
    else
        tun2socks_unreachable(t->stack, app, to, why, mtu);
}

void gateway_udp_failed(struct gateway *t, const struct udptun_endpoint *source,
                        const struct udptun_endpoint *to, enum io why, uint32_t mtu)
{
    enum tun2socks_unreachable answer = TUN2SOCKS_HOST_UNREACHABLE;
    if (why == IO_AGAIN)
        return; /* lost, as datagrams are */
    if (why == IO_REFUSED)
        answer = TUN2SOCKS_PORT_UNREACHABLE;
    else if (why == IO_DENIED)
        answer = TUN2SOCKS_PROHIBITED;
    else if (why == IO_TOO_BIG)
        answer = TUN2SOCKS_TOO_BIG;
    if (answer != TUN2SOCKS_TOO_BIG || mtu)
        gateway_udp_unreachable(t, source, to, answer, mtu);
}
