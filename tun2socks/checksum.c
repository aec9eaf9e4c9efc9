/* SPDX-License-Identifier: Apache-2.0 */
/* checksum.c - the Internet checksum (RFC 1071) over pieces of any size. */
#include "tun2socks/checksum.h"

#include <arpa/inet.h>
#include <string.h>

checksum_sum checksum_add(checksum_sum sum, const void *data, size_t size)
{
    const uint8_t *at = data;
    /* 32 bits at a time: carries gather in the upper half, which fold() brings back. A packet is
     * far too short to overflow it. */
    for (; size >= 16; size -= 16, at += 16) {
        uint32_t words[4];
        memcpy(words, at, 16);
        sum += (uint64_t)words[0] + words[1] + words[2] + words[3];
    }
    for (; size >= 2; size -= 2, at += 2) {
        uint16_t word;
        memcpy(&word, at, 2);
        sum += word;
    }
    if (size) {
        uint16_t word = 0;
        memcpy(&word, at, 1);
        sum += word;
    }
    return sum;
}

uint16_t checksum_fold(checksum_sum sum)
{
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t)sum;
}

checksum_sum checksum_add_parts(checksum_sum sum, const struct io_span *parts, int count,
                                size_t skip)
{
    bool odd = false;
    for (int i = 0; i < count; i++) {
        size_t size = parts[i].size, left_out = skip < size ? skip : size;
        skip -= left_out;
        size -= left_out;
        uint16_t piece =
            checksum_fold(checksum_add(0, (const uint8_t *)parts[i].data + left_out, size));
        if (odd) /* its bytes lie in the other halves of the words (RFC 1071 section 2 B) */
            piece = (uint16_t)(piece << 8 | piece >> 8);
        sum += piece;
        odd ^= size & 1;
    }
    return sum;
}

checksum_sum checksum_pseudo(const struct udptun_endpoint *from, const struct udptun_endpoint *to,
                             uint8_t protocol, size_t size)
{
    size_t address_size = to->family == UDPTUN_ENDPOINT_IP4 ? 4 : 16;
    uint32_t tail[2] = {htonl((uint32_t)size), htonl(protocol)};
    checksum_sum sum = checksum_add(0, from->ip, address_size);
    sum = checksum_add(sum, to->ip, address_size);
    return checksum_add(sum, tail, sizeof tail);
}
