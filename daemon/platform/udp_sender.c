/* SPDX-License-Identifier: Apache-2.0 */
/*
 * udp_sender.c - gathering of datagrams by socket, so that udp_io_*.c sends them in few calls.
 *
 * A turn of the loop brings datagrams of many flows in any mixture. Each is appended to the chain
 * of its socket: order within a socket is kept, neighbours in a chain can share a system call,
 * and nothing is sorted, copied or allocated. All is an array of fixed size that lives as long as
 * the engine.
 */
#include "daemon/platform/udp_sender.h"

#include <stdlib.h>
#include <string.h>

enum { SLOTS = 2 * UDP_SENDER_ENTRIES };

struct udp_sender *udp_sender_new(udp_unsent *unsent, void *arg)
{
    struct udp_sender *sender = (struct udp_sender *)calloc(1, sizeof *sender);
    if (!sender)
        return NULL;
    sender->unsent = unsent;
    sender->arg = arg;
    return sender;
}

void udp_sender_free(struct udp_sender *sender)
{
    free(sender);
}

/* The chain of `fd`, made if there is none. There are twice as many slots as chains can be. */
static struct udp_chain *chain_of(struct udp_sender *sender, int fd)
{
    uint32_t slot = (uint32_t)fd * 2654435769u >> 23; /* Fibonacci hashing to 9 bits */
    for (;; slot = (slot + 1) % SLOTS) {
        uint16_t index = sender->slots[slot];
        if (index == 0)
            break;
        if (sender->chains[index - 1].fd == fd)
            return &sender->chains[index - 1];
    }
    uint16_t index = sender->chain_count++;
    sender->slots[slot] = (uint16_t)(index + 1);
    sender->used[index] = (uint16_t)slot;
    sender->chains[index] =
        (struct udp_chain){.fd = fd, .first = UDP_SENDER_END, .last = UDP_SENDER_END};
    return &sender->chains[index];
}

void udp_sender_add_from(struct udp_sender *sender, int fd, const struct endpoint *from,
                         const struct endpoint *dest, const void *data, size_t size, void *tag)
{
    if (sender->count == UDP_SENDER_ENTRIES)
        udp_sender_flush(sender);
    struct udp_chain *chain = chain_of(sender, fd);
    uint16_t index = sender->count++;
    struct udp_entry *entry = &sender->entries[index];
    *entry = (struct udp_entry){.data = data, .size = size, .tag = tag, .next = UDP_SENDER_END};
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

void udp_sender_add(struct udp_sender *sender, int fd, const struct endpoint *dest,
                    const void *data, size_t size, void *tag)
{
    udp_sender_add_from(sender, fd, NULL, dest, data, size, tag);
}

void udp_sender_flush(struct udp_sender *sender)
{
    for (uint16_t i = 0; i < sender->chain_count; i++) {
        sender->slots[sender->used[i]] = 0;
        udp_send_chain(sender, &sender->chains[i]);
    }
    sender->count = sender->chain_count = 0;
}

void udp_sender_report(struct udp_sender *sender, const struct udp_entry *entry, int sys_errno)
{
    sender->unsent(sender->arg, entry->tag, &entry->dest, entry->size, sys_errno);
}

void udp_sender_report_rest(struct udp_sender *sender, uint16_t first, int sys_errno)
{
    for (uint16_t i = first; i != UDP_SENDER_END; i = sender->entries[i].next)
        udp_sender_report(sender, &sender->entries[i], sys_errno);
}
