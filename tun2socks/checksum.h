/* SPDX-License-Identifier: Apache-2.0 */
/* checksum.h - the Internet checksum (RFC 1071) over pieces of any size. */
#ifndef TUN2SOCKS_CHECKSUM_H
#define TUN2SOCKS_CHECKSUM_H

#include <stddef.h>
#include <stdint.h>

#include "daemon/platform/span.h"
#include "proto/endpoint.h"

/* A sum is kept as the machine reads 16-bit words from memory, so that it is stored with memcpy
 * and no byte order comes in. Sums add up. */
typedef uint64_t checksum_sum;

/* `data` begins at an even offset of what is summed. */
checksum_sum checksum_add(checksum_sum sum, const void *data, size_t size);

/* All parts but `skip` bytes at the start; pieces may have odd sizes. */
checksum_sum checksum_add_parts(checksum_sum sum, const struct io_span *parts, int count,
                                size_t skip);

/* The pseudo header of TCP, UDP and ICMPv6 (RFC 9293 section 3.1, RFC 8200 section 8.1). */
checksum_sum checksum_pseudo(const struct udptun_endpoint *from, const struct udptun_endpoint *to,
                             uint8_t protocol, size_t size);

/* Folded to 16 bits, not inverted: what an offloading device wants in the field. */
uint16_t checksum_fold(checksum_sum sum);

/* Folded and inverted: the checksum. Over data that contains a right one it is 0. */
static inline uint16_t checksum_end(checksum_sum sum)
{
    return (uint16_t)~checksum_fold(sum);
}

#endif
