/* SPDX-License-Identifier: Apache-2.0 */
/*
 * network.h - news that the host's network came back or changed.
 *
 * Changes come in bursts, so they are reported once, a moment after the first.
 */
#ifndef PLATFORM_NETWORK_H
#define PLATFORM_NETWORK_H

#include "daemon/platform/loop.h"
#include "daemon/platform/result.h"
#include "proto/endpoint.h"

struct network_watch;

typedef void network_changed(void *arg);

/* NULL where the system tells nothing, or without memory: the caller goes without. */
struct network_watch *network_watch_new(struct loop *loop, network_changed *changed, void *arg);
/* NULL is accepted. */
void network_watch_free(struct network_watch *watch);

/* Call `each` for every address and directed broadcast address of this host, without port and
 * zone. 0 or the system's error number. */
typedef void network_address(void *arg, const struct udptun_endpoint *address);
int network_own_addresses(network_address *each, void *arg);

/* The same for its unicast addresses alone, each with the number of its interface. */
typedef void network_interface_address(void *arg, const struct udptun_endpoint *address,
                                       unsigned interface);
int network_interface_addresses(network_interface_address *each, void *arg);

/* As endpoint_parse_ip(), and the zone may be the name of an interface: "fe80::1%eth0". False also
 * when there is no such interface now. */
bool network_parse_ip(const char *text, struct udptun_endpoint *ep);

/* The address that `host` is, with its port; its zone's index is that of now. IO_OK,
 * IO_BAD_NAME: it is a host name, IO_NO_DEVICE: there is no such interface. */
enum io network_address_of(const struct host_port *host, struct udptun_endpoint *ep);

#endif
