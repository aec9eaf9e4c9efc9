/* SPDX-License-Identifier: Apache-2.0 */
/* egress_place.h - the `egress` of a udp-server: where its datagrams leave as IP packets. */
#ifndef ENGINE_EGRESS_PLACE_H
#define ENGINE_EGRESS_PLACE_H

#include <stdbool.h>

/* `egress` (may be NULL) says packets: "tun2socks:NAME" or "unix:PATH". */
bool egress_is_packets(const char *egress);

/* The NAME of "tun2socks:NAME"; NULL: it is something else. */
const char *egress_instance(const char *egress);

/* This library was built with tun2socks. */
bool egress_packets_supported(void);

#endif
