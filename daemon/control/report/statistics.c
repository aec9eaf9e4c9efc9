/* SPDX-License-Identifier: Apache-2.0 */
/* statistics.c - see statistics.h. */
#include "daemon/control/report/statistics.h"

#define COUNTER STATISTIC_COUNTER
#define GAUGE   STATISTIC_GAUGE
#define MS      .001 /* the status has milliseconds, OpenMetrics wants seconds */

/* clang-format off */ /* one line a statistic */
const struct statistic statistics_of_tunnel[] = {
    {"sessions", "udptun_tunnel_sessions", GAUGE, "", 1., "Sessions, those without a connection included"},
    {"flows", "udptun_tunnel_flows", GAUGE, "", 1., "Flows, each a source of datagrams"},
    {"connections", "udptun_tunnel_connections", GAUGE, "", 1., "Connections of a local to its server"},
    {"tx_packets", "udptun_tunnel_tx_packets", COUNTER, "", 1., "Datagrams towards the far end"},
    {"rx_packets", "udptun_tunnel_rx_packets", COUNTER, "", 1., "Datagrams from the far end"},
    {"tx_bytes", "udptun_tunnel_tx_bytes", COUNTER, "bytes", 1., "Payload towards the far end"},
    {"rx_bytes", "udptun_tunnel_rx_bytes", COUNTER, "bytes", 1., "Payload from the far end"},
    {"dropped", "udptun_tunnel_dropped_packets", COUNTER, "", 1., "Datagrams that were dropped, by cause"},
    {"reconnects", "udptun_tunnel_reconnects", COUNTER, "", 1., "Connections dialled again after one was lost"},
    {"refused_connections", "udptun_tunnel_refused_connections", COUNTER, "", 1., "Connections that failed while others of the tunnel were up"},
    {"resumed", "udptun_tunnel_resumed", COUNTER, "", 1., "Sessions that went on after all connections were lost"},
    {"rtt_ms", "udptun_tunnel_rtt_seconds", GAUGE, "seconds", MS, "Round trip of the best connection; absent until measured"},
    {"connections.rtt_ms", "udptun_tunnel_connection_rtt_seconds", GAUGE, "seconds", MS, "Round trip of a connection; absent until measured"},
    {"connections.queue_ms", "udptun_tunnel_connection_queue_seconds", GAUGE, "seconds", MS, "Age of the oldest byte of a connection that the far end has not acknowledged"},
    {"uptime", "udptun_tunnel_uptime_seconds", GAUGE, "seconds", 1., "Since the tunnel was set up"},
};
const struct statistic statistics_of_tun2socks[] = {
    {"tcp_flows", "udptun_tun2socks_tcp_flows", GAUGE, "", 1., "TCP connections from the device"},
    {"udp_flows", "udptun_tun2socks_udp_flows", GAUGE, "", 1., "UDP flows from the device"},
    {"tcp_refused", "udptun_tun2socks_tcp_refused", COUNTER, "", 1., "TCP connections that were refused"},
    {"tx_packets", "udptun_tun2socks_tx_packets", COUNTER, "", 1., "IP packets from the device"},
    {"rx_packets", "udptun_tun2socks_rx_packets", COUNTER, "", 1., "IP packets to the device"},
    {"tx_bytes", "udptun_tun2socks_tx_bytes", COUNTER, "bytes", 1., "Bytes of IP packets from the device"},
    {"rx_bytes", "udptun_tun2socks_rx_bytes", COUNTER, "bytes", 1., "Bytes of IP packets to the device"},
    {"dropped", "udptun_tun2socks_dropped_packets", COUNTER, "", 1., "IP packets that were dropped, by cause"},
    {"dns_questions", "udptun_tun2socks_dns_questions", COUNTER, "", 1., "DNS questions of apps over UDP, with `dns`"},
    {"dns_cached", "udptun_tun2socks_dns_cached", COUNTER, "", 1., "DNS questions that the cache answered"},
    {"dns_shared", "udptun_tun2socks_dns_shared", COUNTER, "", 1., "DNS questions that waited for the answer to an equal one"},
    {"dns_unanswered", "udptun_tun2socks_dns_unanswered", COUNTER, "", 1., "DNS questions without an answer"},
    {"dns_entries", "udptun_tun2socks_dns_entries", GAUGE, "", 1., "DNS answers in the cache"},
    {"mtu", "udptun_tun2socks_mtu_bytes", GAUGE, "bytes", 1., "Largest IP packet of the device"},
    {"uptime", "udptun_tun2socks_uptime_seconds", GAUGE, "seconds", 1., "Since the instance was set up"},
};
/* clang-format on */

const size_t statistics_of_tunnel_count =
    sizeof statistics_of_tunnel / sizeof *statistics_of_tunnel;
const size_t statistics_of_tun2socks_count =
    sizeof statistics_of_tun2socks / sizeof *statistics_of_tun2socks;
