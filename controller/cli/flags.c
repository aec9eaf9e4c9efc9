/* SPDX-License-Identifier: Apache-2.0 */
/*
 * flags.c - the one table of flags. Every field of a tunnel or tun2socks object has one of its
 * name in kebab-case; `key` has none, because a key does not belong on a command line.
 */
#include "controller/cli/cli.h"

#include <string.h>

#define TUNNEL (GROUP_LOCAL | GROUP_SERVER)
#define OBJECT (TUNNEL | GROUP_TUN2SOCKS)

#define OPTION(name, letter, kind, metavar, groups, help, words)                                   \
    {                                                                                              \
        name, letter, FLAG_##kind, NULL, metavar, groups, help, words                              \
    }
#define FIELD(name, field, kind, metavar, groups, help, words)                                     \
    {                                                                                              \
        name, 0, FLAG_##kind, field, metavar, groups, help, words                                  \
    }

const struct flag flags[] = {
    OPTION("socket", 's', TEXT, "SOCKET", GROUP_ANY, "the daemon's socket", NULL),
    OPTION("json", 'j', BOOL, NULL, GROUP_ANY, "print JSON", NULL),
    OPTION("timeout", 0, SECONDS, "SECONDS", GROUP_ANY, "how long to wait for a reply (10)", NULL),
    OPTION("help", 'h', BOOL, NULL, GROUP_ANY, "print help", NULL),
    OPTION("version", 'V', BOOL, NULL, GROUP_ANY, "print versions", NULL),

    OPTION("watch", 'w', BOOL, NULL, GROUP_STATUS, "keep it up to date until Ctrl-C", NULL),
    OPTION("count", 'c', INTEGER, "N", GROUP_PING, "how many round trips (4)", NULL),
    OPTION("limit", 0, INTEGER, "N", GROUP_FLOWS, "at most N flows (all)", NULL),
    OPTION("file", 'f', TEXT, "FILE", GROUP_APPLY, "the config file, - for standard input", NULL),
    OPTION("prune", 0, BOOL, NULL, GROUP_APPLY, "remove what is not in the file", NULL),
    OPTION("dry-run", 0, BOOL, NULL, GROUP_APPLY, "only tell what would change", NULL),
    OPTION("show-secrets", 0, BOOL, NULL, GROUP_EXPORT, "with keys in full (admin)", NULL),
    OPTION("topics", 0, LIST, "LIST", GROUP_EVENTS, "state, config, stats, log (state,config)",
           "state config stats log"),
    OPTION("module", 0, TEXT, "MODULE", GROUP_LOG, "of this module only", NULL),
    OPTION("man-synopsis", 0, BOOL, NULL, GROUP_HELP, "the synopsis as the man page has it", NULL),

    FIELD("listen", "listen", URL, "ADDR", TUNNEL,
          "local: udp://HOST:PORT or socks5://[USER:PASS@]HOST:PORT; server: HOST:PORT or "
          "unix:PATH; port 0 takes a free one",
          "udp:// socks5:// unix:"),
    FIELD("target", "target", TEXT, "HOST:PORT", TUNNEL, "where the datagrams go", NULL),
    FIELD("server", "server", TEXT, "ADDR", GROUP_LOCAL,
          "HOST:PORT or unix:PATH of the udp-server, or of what forwards to it", NULL),
    FIELD("via", "via", URL, "URL", GROUP_LOCAL,
          "the proxy to reach it: socks5:// or http://[USER:PASS@]HOST:PORT", "socks5:// http://"),
    FIELD("tcp-proxy", "tcpProxy", URL, "URL", GROUP_LOCAL,
          "socks5://HOST:PORT that CONNECT requests go to", "socks5://"),
    FIELD("connections", "connections", INTEGER, "N", GROUP_LOCAL,
          "most data connections, 1 to 32 (8)", NULL),
    FIELD("key-file", "keyFile", KEY_FILE, "FILE", TUNNEL,
          "the key, read by the daemon; - reads it from standard input", NULL),
    FIELD("insecure", "insecure", BOOL, NULL, GROUP_SERVER, "listen beyond loopback without a key",
          NULL),
    FIELD("egress", "egress", TEXT, "X", GROUP_SERVER, "direct or tun2socks:NAME (direct)",
          "direct tun2socks:"),
    FIELD("allow-targets", "allowTargets", LIST, "LIST", GROUP_SERVER,
          "only these targets: CIDR[:PORT[-PORT]], IPv6 as [CIDR]:PORT", NULL),
    FIELD("deny-targets", "denyTargets", LIST, "LIST", GROUP_SERVER, "never these", NULL),
    FIELD("filtering", "filtering", TEXT, "WORD", GROUP_SERVER,
          "who may answer: endpoint-independent, address, address-port (endpoint-independent)",
          "endpoint-independent address address-port"),
    FIELD("port-range", "portRange", TEXT, "LOW-HIGH", GROUP_SERVER, "external ports", NULL),
    FIELD("port-preservation", "portPreservation", BOOL, NULL, GROUP_SERVER,
          "external port like that of the client's source: the same, else its parity", NULL),
    FIELD("heartbeat-interval", "heartbeatInterval", INTEGER, "SECONDS", GROUP_LOCAL,
          "between heartbeats (10)", NULL),
    FIELD("dead-interval", "deadInterval", INTEGER, "SECONDS", GROUP_LOCAL,
          "silence after which a connection is given up (30)", NULL),
    FIELD("resume-timeout", "resumeTimeout", INTEGER, "SECONDS", GROUP_SERVER,
          "that a session outlives its connections (180)", NULL),
    FIELD("flow-timeout", "flowTimeout", INTEGER, "SECONDS", TUNNEL,
          "idle time after which a flow ends (300)", NULL),
    FIELD("max-sessions", "maxSessions", INTEGER, "N", TUNNEL, "cap (1024)", NULL),
    FIELD("max-flows", "maxFlows", INTEGER, "N", TUNNEL, "cap (16384)", NULL),
    FIELD("max-flows-per-session", "maxFlowsPerSession", INTEGER, "N", TUNNEL, "cap (16384)", NULL),
    FIELD("max-queue-delay-ms", "maxQueueDelayMs", INTEGER, "MS", TUNNEL,
          "an older datagram is dropped unsent (500)", NULL),
    FIELD("max-queue-bytes", "maxQueueBytes", INTEGER, "BYTES", TUNNEL,
          "what a flow may have queued (1048576)", NULL),
    FIELD("redundancy", "redundancy", INTEGER, "N", GROUP_LOCAL,
          "copies of a datagram on different connections, 1 to 3 (1)", NULL),
    FIELD("redundancy-max-size", "redundancyMaxSize", INTEGER, "BYTES", GROUP_LOCAL,
          "larger datagrams are not copied (400)", NULL),
    FIELD("min-version", "minVersion", INTEGER, "N", TUNNEL,
          "lowest protocol version that is accepted, 1 or 2 (1)", "1 2"),

    FIELD("device", "device", TEXT, "D", GROUP_TUN2SOCKS, "tun:NAME, pipe or unix:PATH",
          "tun: pipe unix:"),
    FIELD("address", "address", TEXT, "CIDR", GROUP_TUN2SOCKS, "of the device, IPv4", NULL),
    FIELD("address6", "address6", TEXT, "CIDR", GROUP_TUN2SOCKS, "of the device, IPv6", NULL),
    FIELD("mtu", "mtu", INTEGER, "BYTES", GROUP_TUN2SOCKS, "of the device", NULL),
    FIELD("tcp", "tcp", URL, "URL", GROUP_TUN2SOCKS,
          "socks5://[USER:PASS@]HOST:PORT, direct or reject", "socks5:// direct reject"),
    FIELD("udp", "udp", URL, "X", GROUP_TUN2SOCKS,
          "tunnel:NAME, socks5://[USER:PASS@]HOST:PORT, direct or reject",
          "tunnel: socks5:// direct reject"),
    FIELD("icmp-echo", "icmpEcho", TEXT, "WORD", GROUP_TUN2SOCKS, "reply or drop (reply)",
          "reply drop"),
    FIELD("block-quic", "blockQuic", BOOL, NULL, GROUP_TUN2SOCKS,
          "answer UDP port 443 with port unreachable", NULL),
    FIELD("max-tcp-flows", "maxTcpFlows", INTEGER, "N", GROUP_TUN2SOCKS, "cap (4096)", NULL),
    FIELD("max-udp-flows", "maxUdpFlows", INTEGER, "N", GROUP_TUN2SOCKS, "cap (16384)", NULL),
    FIELD("udp-flow-timeout", "udpFlowTimeout", INTEGER, "SECONDS", GROUP_TUN2SOCKS,
          "idle time after which a UDP flow ends (300)", NULL),
    FIELD("dns", "dns", TEXT, "HOST:PORT", GROUP_TUN2SOCKS,
          "all DNS questions go to this server (none)", NULL),
    FIELD("dns-cache", "dnsCache", INTEGER, "N", GROUP_TUN2SOCKS,
          "answers that are kept (1024; 0 without --dns)", NULL),

    FIELD("mark", "mark", INTEGER, "N", OBJECT, "SO_MARK of outgoing sockets (admin)", NULL),
    FIELD("bind-device", "bindDevice", TEXT, "DEVICE", OBJECT,
          "SO_BINDTODEVICE of outgoing sockets (admin)", NULL),
    FIELD("ephemeral", "ephemeral", BOOL, NULL, OBJECT, "not kept over a restart", NULL),
    FIELD("enabled", "enabled", BOOL, NULL, OBJECT, "--no-enabled: configured, not running", NULL),
    FIELD("keep-disabled", "keepDisabled", BOOL, NULL, GROUP_TUN2SOCKS,
          "with a device fd:N: kept over a restart, disabled until it gets another", NULL),
    OPTION("wait", 0, INTEGER, "SECONDS", OBJECT, "return when it is established", NULL),
};

const size_t flag_count = sizeof flags / sizeof flags[0];

const struct flag *flag_find(const char *name)
{
    for (size_t i = 0; i < flag_count; i++)
        if (strcmp(flags[i].name, name) == 0)
            return &flags[i];
    return NULL;
}

const struct flag *flag_of_field(const char *field)
{
    for (size_t i = 0; i < flag_count; i++)
        if (flags[i].field && strcmp(flags[i].field, field) == 0)
            return &flags[i];
    return NULL;
}
