/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lwipopts.h - lwIP as tun2socks needs it: TCP over IPv4 and IPv6, nothing else.
 *
 * UDP, ICMP and fragments are ours (tun2socks/), so are all checksums of TCP, and the clock
 * (lwip/port.h). Memory is malloc's, without pools: the caps of tun2socks are the limit.
 */
#ifndef LWIP_LWIPOPTS_H
#define LWIP_LWIPOPTS_H

/* No system: one thread, no semaphores, no sockets, and timers that the host runs. */
#define NO_SYS               1
#define SYS_LIGHTWEIGHT_PROT 0
#define LWIP_TIMERS          0
#define LWIP_NETCONN         0
#define LWIP_SOCKET          0
#define LWIP_STATS           0

#define MEM_LIBC_MALLOC          1
#define MEMP_MEM_MALLOC          1
#define MEM_ALIGNMENT            8
#define LWIP_SUPPORT_CUSTOM_PBUF 1

/* IP. */
#define LWIP_IPV4                     1
#define LWIP_IPV6                     1
#define LWIP_IPV6_SCOPES              0
#define LWIP_IPV6_MLD                 0
#define LWIP_IPV6_AUTOCONFIG          0
#define LWIP_IPV6_DUP_DETECT_ATTEMPTS 0
#define LWIP_IPV6_SEND_ROUTER_SOLICIT 0
#define LWIP_IPV6_FRAG                0
#define LWIP_IPV6_REASS               0
#define IP_FORWARD                    0
#define IP_FRAG                       0
#define IP_REASSEMBLY                 0
#define IP_OPTIONS_ALLOWED            1
#define LWIP_SINGLE_NETIF             0
#define LWIP_NETIF_LOOPBACK           0
#define LWIP_ARP                      0
#define LWIP_ETHERNET                 0
#define LWIP_ICMP                     0
#define LWIP_RAW                      0
#define LWIP_UDP                      0
#define LWIP_DHCP                     0
#define LWIP_DNS                      0
#define LWIP_IGMP                     0

/* Checked as packets come in and made as they go out, by tun2socks or by the device. */
#define CHECKSUM_GEN_IP      1
#define CHECKSUM_GEN_TCP     0
#define CHECKSUM_GEN_ICMP6   1
#define CHECKSUM_CHECK_IP    0
#define CHECKSUM_CHECK_TCP   0
#define CHECKSUM_CHECK_ICMP6 0

/* TCP. The MSS is the upper bound: that of a flow follows from the device's MTU and the peer. */
#define LWIP_TCP                       1
#define TCP_MSS                        65475
#define LWIP_WND_SCALE                 1
#define TCP_RCV_SCALE                  5
#define TCP_WND                        (1024 * 1024)
#define TCP_SND_BUF                    (1024 * 1024)
#define TCP_SND_QUEUELEN               8192
#define TCP_OVERSIZE                   0
#define TCP_QUEUE_OOSEQ                1
#define TCP_OOSEQ_BYTES_LIMIT(pcb)     lwip_port_out_of_order(pcb)
#define TCP_OOSEQ_MAX_PBUFS            1024 /* a window of full segments; lwIP goes through all */
#define LWIP_TCP_SACK_OUT              1
#define TCP_LISTEN_BACKLOG             0
#define TCP_MSL                        1000
#define LWIP_TCP_KEEPALIVE             1
#define LWIP_DISABLE_TCP_SANITY_CHECKS 1

/* Initial sequence numbers (RFC 6528). */
#define LWIP_HOOK_FILENAME "lwip/hooks.h"
#define LWIP_HOOK_TCP_ISN(local, local_port, remote, remote_port)                                  \
    lwip_port_isn(local, local_port, remote, remote_port)

#endif
