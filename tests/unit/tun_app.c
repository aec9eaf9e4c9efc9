/* SPDX-License-Identifier: Apache-2.0 */
/* tun_app.c - an app's TCP for tests: lwIP once more, as a host with an address of its own. */
#include "tests/unit/tun_app.h"

#include <stdlib.h>
#include <string.h>

#include "lwip/ip.h"
#include "lwip/ip4.h"
#include "lwip/ip6.h"

#include "tun2socks/checksum.h"
#include "tun2socks/packet.h"

static err_t on_output(struct netif *netif, struct pbuf *p)
{
    struct app *a = netif->state;
    struct world_packet *q = malloc(sizeof *q + p->tot_len);
    if (!q)
        return ERR_MEM;
    q->next = NULL;
    q->size = p->tot_len;
    pbuf_copy_partial(p, q->data, p->tot_len, 0);
    bool is_ip4 = q->data[0] >> 4 == 4;
    size_t ip_size = is_ip4 ? 20 : 40;
    struct udptun_endpoint from = {.family = is_ip4 ? UDPTUN_ENDPOINT_IP4 : UDPTUN_ENDPOINT_IP6},
                           to = from;
    memcpy(from.ip, q->data + (is_ip4 ? 12 : 8), is_ip4 ? 4 : 16);
    memcpy(to.ip, q->data + (is_ip4 ? 16 : 24), is_ip4 ? 4 : 16);
    memset(q->data + ip_size + 16, 0, 2);
    checksum_sum sum = checksum_pseudo(&from, &to, PROTOCOL_TCP, q->size - ip_size);
    uint16_t value = checksum_end(checksum_add(sum, q->data + ip_size, q->size - ip_size));
    value ^= a->corrupt;
    memcpy(q->data + ip_size + 16, &value, 2);
    *a->last = q;
    a->last = &q->next;
    return ERR_OK;
}

static err_t on_output4(struct netif *netif, struct pbuf *p, const ip4_addr_t *to)
{
    (void)to;
    return on_output(netif, p);
}

static err_t on_output6(struct netif *netif, struct pbuf *p, const ip6_addr_t *to)
{
    (void)to;
    return on_output(netif, p);
}

static err_t set_up(struct netif *netif)
{
    netif->output = on_output4;
    netif->output_ip6 = on_output6;
    return ERR_OK;
}

void app_init(struct app *a, struct world *w, u16_t mtu)
{
    *a = (struct app){.w = w};
    a->last = &a->first;
    ip4_addr_t address, mask, none = {0};
    IP4_ADDR(&address, 10, 0, 0, 2);
    IP4_ADDR(&mask, 255, 0, 0, 0);
    netif_add(&a->netif, &address, &mask, &none, a, set_up, ip_input);
    a->netif.mtu = a->netif.mtu6 = mtu;
    ip6_addr_t address6;
    ip6addr_aton("fd00::2", &address6);
    netif_ip6_addr_set(&a->netif, 0, &address6);
    netif_ip6_addr_set_state(&a->netif, 0, IP6_ADDR_PREFERRED);
    netif_set_up(&a->netif);
    netif_set_link_up(&a->netif);
}

void app_fini(struct app *a)
{
    while (a->first) {
        struct world_packet *p = a->first;
        a->first = p->next;
        free(p);
    }
    netif_remove(&a->netif);
}

static bool is_lost(struct app *a)
{
    return a->lose_every && ++a->count % a->lose_every == 0;
}

static void to_app(struct app *a, struct world_packet *p)
{
    struct packet parsed;
    enum tun2socks_drop cause;
    bool good = packet_parse(&parsed, p->data, p->size, false, &cause);
    struct pbuf *q = pbuf_alloc(PBUF_RAW, (u16_t)p->size, PBUF_RAM);
    if (!q || !good)
        abort(); /* tun2socks sends nothing that is wrong */
    pbuf_take(q, p->data, (u16_t)p->size);
    ip_input(q, &a->netif);
}

void app_run(struct app *a)
{
    while (a->first || a->w->first) {
        struct world_packet *p = a->first;
        if (p) {
            a->first = p->next;
            if (!a->first)
                a->last = &a->first;
            if (!is_lost(a))
                world_feed(a->w, p->data, p->size);
        } else {
            p = world_take(a->w);
            if (!is_lost(a))
                to_app(a, p);
        }
        free(p);
    }
}

static err_t on_connected(void *arg, struct tcp_pcb *pcb, err_t err)
{
    (void)pcb;
    ((struct app_flow *)arg)->connected = err == ERR_OK;
    return ERR_OK;
}

static err_t on_received(void *arg, struct tcp_pcb *pcb, struct pbuf *p, err_t err)
{
    struct app_flow *f = arg;
    (void)err;
    if (!p) {
        f->ended = true;
        return ERR_OK;
    }
    for (struct pbuf *q = p; q; q = q->next) {
        for (u16_t i = 0; i < q->len; i++)
            f->wrong += ((const uint8_t *)q->payload)[i] != world_pattern(f->received++);
        if (f->holds_window)
            f->held += q->len;
        else
            tcp_recved(pcb, q->len);
    }
    pbuf_free(p);
    return ERR_OK;
}

static void on_error(void *arg, err_t err)
{
    struct app_flow *f = arg;
    f->pcb = NULL;
    f->error = err;
}

void app_connect(struct app *a, struct app_flow *f, const char *to)
{
    struct udptun_endpoint ep;
    ip_addr_t address = {0};
    *f = (struct app_flow){.pcb = tcp_new_ip_type(IPADDR_TYPE_ANY)};
    if (!endpoint_parse(to, &ep) || !f->pcb)
        abort();
    IP_SET_TYPE_VAL(address, ep.family == UDPTUN_ENDPOINT_IP4 ? IPADDR_TYPE_V4 : IPADDR_TYPE_V6);
    memcpy(&address, ep.ip, ep.family == UDPTUN_ENDPOINT_IP4 ? 4 : 16);
    tcp_bind_netif(f->pcb, &a->netif);
    tcp_arg(f->pcb, f);
    tcp_err(f->pcb, on_error);
    tcp_recv(f->pcb, on_received);
    tcp_connect(f->pcb, &address, ep.port, on_connected);
}

size_t app_send(struct app_flow *f, size_t size)
{
    uint8_t data[4096];
    size_t done = 0;
    while (f->pcb && done < size && tcp_sndbuf(f->pcb) > sizeof data) {
        size_t piece = size - done < sizeof data ? size - done : sizeof data;
        for (size_t i = 0; i < piece; i++)
            data[i] = world_pattern(f->sent + i);
        if (tcp_write(f->pcb, data, (u16_t)piece, TCP_WRITE_FLAG_COPY) != ERR_OK)
            break;
        f->sent += piece;
        done += piece;
    }
    if (f->pcb)
        tcp_output(f->pcb);
    return done;
}

void app_release(struct app_flow *f)
{
    f->holds_window = false;
    for (; f->held > 0 && f->pcb; f->held -= f->held < 60000 ? f->held : 60000)
        tcp_recved(f->pcb, (u16_t)(f->held < 60000 ? f->held : 60000));
}

void app_close(struct app_flow *f)
{
    if (!f->pcb)
        return;
    tcp_arg(f->pcb, NULL);
    tcp_err(f->pcb, NULL);
    tcp_recv(f->pcb, NULL);
    tcp_abort(f->pcb);
    f->pcb = NULL;
}
