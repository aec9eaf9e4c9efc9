/* SPDX-License-Identifier: Apache-2.0 */
/* packet_buffer.c - memory of a packet on its way through lwIP, counted for as long as it is held.
 */
#include <stdlib.h>

#include "tun2socks/internal.h"

static size_t size_of(const struct packet_buffer *buffer)
{
    return sizeof *buffer + buffer->capacity;
}

void packet_buffer_free(struct packet_buffer *buffer)
{
    if (buffer)
        budget_give(buffer->counted, size_of(buffer));
    free(buffer);
}

static void on_free(struct pbuf *p)
{
    packet_buffer_free((struct packet_buffer *)(void *)p);
}

struct packet_buffer *packet_buffer_new(size_t size)
{
    struct packet_buffer *buffer = malloc(sizeof *buffer + size);
    if (!buffer)
        return NULL;
    *buffer =
        (struct packet_buffer){.custom.custom_free_function = on_free, .capacity = (uint32_t)size};
    return buffer;
}

void packet_buffer_count(struct packet_buffer *buffer, struct budget *budget)
{
    buffer->counted = budget;
    budget_take(budget, size_of(buffer));
}
