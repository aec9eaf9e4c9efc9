/* SPDX-License-Identifier: Apache-2.0 */
/* commands.c - the one table of commands: parsing, help, completion and man page come from it. */
#include "controller/cli/cli.h"

#include <limits.h>
#include <string.h>

const struct command commands[] = {
    {"status", "[NAME]", "what runs and how it does, as a table",
     "Without a command this is what udptunctl does. Bytes and datagrams are counted from this "
     "end:\n"
     "TX goes towards the far end. With -w on a terminal TX and RX are what moved in a second.",
     0, 1, GROUP_STATUS, true, NULL, run_status},
    {"top", "[NAME]", "a live view of the whole terminal: tunnels, their flows and sessions",
     "Rates, round trips and drops, kept up to date; with NAME that tunnel's flows at once.\n"
     "Keys: arrows select, Enter goes into a tunnel, < and > sort, p pauses, ? tells the others,\n"
     "q quits. While there is no daemon it says so, and goes on when there is one.",
     0, 1, 0, true, NULL, run_top},
    {"show", "NAME", "everything about one tunnel", NULL, 1, 1, 0, true, NULL, run_show},
    {"local", "NAME", "make or change a udp-local: datagrams from here into the tunnel",
     "An existing tunnel keeps what no flag names. A first one to try:\n"
     "  udptunctl local home --listen udp://127.0.0.1:5353 --server 127.0.0.1:7000 \\\n"
     "                       --target 192.0.2.53:53",
     1, 1, GROUP_LOCAL, true, NULL, run_local},
    {"server", "NAME", "make or change a udp-server: the tunnel's other end",
     "An existing tunnel keeps what no flag names. Beyond loopback it wants a key:\n"
     "  (umask 077; udptunctl genkey > /etc/udptund/key)\n"
     "  udptunctl server far --listen 0.0.0.0:7000 --key-file /etc/udptund/key",
     1, 1, GROUP_SERVER, true, NULL, run_server},
    {"tun2socks", "NAME", "make or change a tun2socks instance",
     "An existing instance keeps what no flag names.", 1, 1, GROUP_TUN2SOCKS, true, NULL,
     run_tun2socks},
    {"remove", "NAME...", "remove tunnels and tun2socks instances",
     "They go in the order given. Removing a name that does not exist is not an error.", 1, INT_MAX,
     0, true, NULL, run_remove},
    {"sessions", "NAME", "the sessions of a tunnel", NULL, 1, 1, 0, true, NULL, run_sessions},
    {"flows", "NAME", "the flows of a tunnel: who sends, from which port it leaves", NULL, 1, 1,
     GROUP_FLOWS, true, NULL, run_flows},
    {"ping", "NAME", "round trips through the tunnel's own connections", NULL, 1, 1, GROUP_PING,
     true, NULL, run_ping},
    {"apply", "", "make the daemon run what a config file says",
     "Objects of the file are made or changed; with --prune those that are not in it are removed.",
     0, 0, GROUP_APPLY, false, NULL, run_apply},
    {"export", "", "print what is configured, as a config file", NULL, 0, 0, GROUP_EXPORT, false,
     NULL, run_export},
    {"events", "", "print events as they happen",
     "On a terminal as text; elsewhere, and with -j, a JSON object a line "
     "(docs/schema/event.json).\n"
     "The first is the reply with a snapshot. Ends with Ctrl-C.",
     0, 0, GROUP_EVENTS, false, NULL, run_events},
    {"metrics", "", "print all statistics as OpenMetrics text", NULL, 0, 0, 0, false, NULL,
     run_metrics},
    {"log-level", "LEVEL", "set how much the daemon logs", NULL, 1, 1, GROUP_LOG, false,
     "error warn info debug", run_log_level},
    {"reload", "", "have the daemon read its config file again", NULL, 0, 0, 0, false, NULL,
     run_reload},
    {"shutdown", "", "stop the daemon in good order", NULL, 0, 0, 0, false, NULL, run_shutdown},
    {"genkey", "", "print a new key for --key-file",
     "32 random bytes in base64. Both ends of a tunnel get the same one:\n"
     "  (umask 077; udptunctl genkey > home.key)",
     0, 0, 0, false, NULL, run_genkey},
    {"version", "", "print the versions of udptunctl and the daemon", NULL, 0, 0, 0, false, NULL,
     run_version},
    {"call", "ACTION [JSON]", "send any action with its parameters, print what it returns",
     "JSON is one object; - reads it from standard input:\n"
     "  udptunctl call getStatus '{\"name\":\"home\"}'",
     1, 2, 0, false,
     "hello configureUdpTunnel removeUdpTunnel configureTun2socks removeTun2socks getStatus "
     "listSessions closeSession listFlows pingTunnel exportConfig applyConfig getMetrics "
     "setLogLevel reloadConfig shutdown",
     run_call},
    {"completion", "SHELL", "print a completion script for bash, zsh or fish",
     "  source <(udptunctl completion bash)", 1, 2, 0, false, "bash zsh fish", run_completion},
    {"help", "[COMMAND]", "print help", NULL, 0, 1, GROUP_HELP, false, NULL, run_help},
};

const size_t command_count = sizeof commands / sizeof commands[0];

const struct command *command_find(const char *name)
{
    for (size_t i = 0; i < command_count; i++)
        if (strcmp(commands[i].name, name) == 0)
            return &commands[i];
    return NULL;
}
