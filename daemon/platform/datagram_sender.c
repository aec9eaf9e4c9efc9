/* SPDX-License-Identifier: Apache-2.0 */
/*
 * datagram_sender.c - gathering of datagrams by socket, so that they are sent in few calls.
 *
 * A turn of the loop brings datagrams of many flows in any mixture. Each is appended to the chain
 * of its socket: order within a socket is kept, neighbours in a chain can share a system call,
 * and nothing is sorted, copied or allocated. All is an array of fixed size that lives as long as
 * the engine.
 */
#include "daemon/platform/datagram_sender.h"

#include <stdlib.h>
#include <string.h>

enum { SLOTS = 2 * UDP_SENDER_ENTRIES };

struct udp_sender *udp_sender_new(void)
{
    return (struct udp_sender *)calloc(1, sizeof(struct udp_sender));
}

void udp_sender_free(struct udp_sender *sender)
{
    free(sender);
}

/* The chain of `socket`, made if there is none. There are twice as many slots as chains can be. */
static struct udp_chain *chain_of(struct udp_sender *sender, udptun_socket socket)
{
    uint32_t slot = (uint32_t)socket * 2654435769u >> 23; /* Fibonacci hashing to 9 bits */
    for (;; slot = (slot + 1) % SLOTS) {
        uint16_t index = sender->slots[slot];
        if (index == 0)
            break;
        if (sender->chains[index - 1].socket == socket)
            return &sender->chains[index - 1];
    }
    uint16_t index = sender->chain_count++;
    sender->slots[slot] = (uint16_t)(index + 1);
    sender->used[index] = (uint16_t)slot;
    sender->chains[index] =
        (struct udp_chain){.socket = socket, .first = UDP_SENDER_END, .last = UDP_SENDER_END};
    return &sender->chains[index];
}

void udp_sender_add_from(struct udp_sender *sender, udptun_socket socket,
                         const struct udptun_endpoint *from, const struct udptun_endpoint *dest,
                         const void *data, size_t size, struct datagram_owner *owner)
{
    if (sender->count == UDP_SENDER_ENTRIES)
        udp_sender_flush(sender);
    struct udp_chain *chain = chain_of(sender, socket);
    uint16_t index = sender->count++;
    struct udp_entry *entry = &sender->entries[index];
    *entry = (struct udp_entry){.data = data, .size = size, .owner = owner, .next = UDP_SENDER_END};
    if (dest)
        entry->dest = *dest;
    if (from) {
        entry->from = *from;
        entry->from.port = 0;
    }
    if (chain->first == UDP_SENDER_END)
        chain->first = index;
    else
        sender->entries[chain->last].next = index;
    chain->last = index;
}

void udp_sender_add(struct udp_sender *sender, udptun_socket socket,
                    const struct udptun_endpoint *dest, const void *data, size_t size,
                    struct datagram_owner *owner)
{
    udp_sender_add_from(sender, socket, NULL, dest, data, size, owner);
}

void udp_sender_flush(struct udp_sender *sender)
{
    for (uint16_t i = 0; i < sender->chain_count; i++) {
        sender->slots[sender->used[i]] = 0;
        udp_send_chain(sender, &sender->chains[i]);
    }
    sender->count = sender->chain_count = 0;
}

void udp_sender_report(struct udp_sender *sender, const struct udp_entry *entry, enum io why)
{
    (void)sender;
    entry->owner->unsent(entry->owner, &entry->dest, entry->size, why);
}

void udp_sender_report_rest(struct udp_sender *sender, uint16_t first, enum io why)
{
    for (uint16_t i = first; i != UDP_SENDER_END; i = sender->entries[i].next)
        udp_sender_report(sender, &sender->entries[i], why);
}
