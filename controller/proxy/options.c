/* SPDX-License-Identifier: Apache-2.0 */
/* options.c - see options.h. */
#include "controller/proxy/options.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/platform/process/process.h"
#include "proto/version.h"

#define DEFAULT_SOCKET   "/run/proxy_controller_domain_socket"
#define DEFAULT_TUN      "tun0"
#define DEFAULT_ADDRESS  "10.0.85.1/24"
#define DEFAULT_ADDRESS6 "fd85::1/64"
#define DEFAULT_MARK     8500

enum {
    OPT_UDPTUND = 256,
    OPT_TUN_NAME,
    OPT_TUN_ADDRESS,
    OPT_TUN_ADDRESS6,
    OPT_MARK,
    OPT_VERSION,
};

static const struct option long_options[] = {
    {"socket-filename", required_argument, NULL, 's'},
    {"owning-user-id", required_argument, NULL, 'u'},
    {"log-filename", required_argument, NULL, 'l'},
    {"daemonize", no_argument, NULL, 'd'},
    {"udptund", required_argument, NULL, OPT_UDPTUND},
    {"tun-name", required_argument, NULL, OPT_TUN_NAME},
    {"tun-address", required_argument, NULL, OPT_TUN_ADDRESS},
    {"tun-address6", required_argument, NULL, OPT_TUN_ADDRESS6},
    {"mark", required_argument, NULL, OPT_MARK},
    {"version", no_argument, NULL, OPT_VERSION},
    {"help", no_argument, NULL, 'h'},
    {NULL, 0, NULL, 0},
};

static const char help_text[] =
    "Usage: ProxyController [SOCKET] [OPTION]...\n"
    "Routes the machine's traffic into a TUN device and has udptund carry it, as told by a VPN\n"
    "client over a Unix socket.\n"
    "\n"
    "  -s, --socket-filename SOCKET  command socket (default: " DEFAULT_SOCKET
    ")\n"
    "  -u, --owning-user-id UID      its owner, a number or a name (default: this user)\n"
    "  -l, --log-filename FILE       log there (default: standard error)\n"
    "  -d, --daemonize               go to the background once everything is up\n"
    "      --udptund SOCKET          udptund's command socket (default: as udptunctl)\n"
    "      --tun-name NAME           the TUN device (default: " DEFAULT_TUN
    ")\n"
    "      --tun-address CIDR        its address (default: " DEFAULT_ADDRESS
    ")\n"
    "      --tun-address6 CIDR       its IPv6 address, or none (default: " DEFAULT_ADDRESS6
    ")\n"
    "      --mark N                  sockets with this mark stay outside of the device, 0: none\n"
    "                                (default: 8500)\n"
    "      --version                 print the version and exit\n"
    "  -h, --help                    print this and exit\n"
    "\n"
    "Exit status: 0 ok, 1 failed, 2 usage.\n";

static enum options_result proxy_options_usage(const char *what, const char *value)
{
    fprintf(stderr, "ProxyController: %s%s%s; see ProxyController --help\n", what,
            value ? ": " : "", value ? value : "");
    return OPTIONS_USAGE;
}

static bool parse_number(const char *text, unsigned long most, unsigned long *value)
{
    char *end;
    *value = strtoul(text, &end, 0);
    return *text >= '0' && *text <= '9' && *end == '\0' && *value <= most;
}

static enum options_result take_owner(struct proxy_options *o, const char *text)
{
    unsigned long number;
    if (process_user_id(text, &o->owner))
        return OPTIONS_RUN;
    if (parse_number(text, NO_OWNER - 1, &number))
        o->owner = (uint32_t)number;
    else
        return proxy_options_usage("--owning-user-id: there is no such user", text);
    return OPTIONS_RUN;
}

/* What the kernel takes as the name of a device. */
static bool is_device_name(const char *text)
{
    size_t len = strlen(text);
    return len > 0 && len < IFNAMSIZ && strcmp(text, ".") != 0 && strcmp(text, "..") != 0 &&
           strcspn(text, "/: \t\r\n%") == len;
}

static bool take_address(struct device_address *address, const char *text, uint8_t family)
{
    return device_address_parse(text, address) && address->ip.family == family &&
           !endpoint_is_unspecified(&address->ip) && !endpoint_is_multicast(&address->ip);
}

/* One option that was read; OPTIONS_RUN to go on. */
static enum options_result proxy_options_take(struct proxy_options *o, int option,
                                              const char *value)
{
    unsigned long number;
    switch (option) {
    case 's':
        o->socket_path = value;
        return OPTIONS_RUN;
    case 'u':
        return take_owner(o, value);
    case 'l':
        o->log_file = value;
        return OPTIONS_RUN;
    case 'd':
        o->daemonize = true;
        return OPTIONS_RUN;
    case OPT_UDPTUND:
        o->udptund = value;
        return OPTIONS_RUN;
    case OPT_TUN_NAME:
        o->tun_name = value;
        return is_device_name(value)
                   ? OPTIONS_RUN
                   : proxy_options_usage("--tun-name is not a device name", value);
    case OPT_TUN_ADDRESS:
        return take_address(&o->tun_address, value, UDPTUN_ENDPOINT_IP4)
                   ? OPTIONS_RUN
                   : proxy_options_usage("--tun-address is not an IPv4 address/prefix", value);
    case OPT_TUN_ADDRESS6:
        o->tun_address6 = (struct device_address){0};
        return strcmp(value, "none") == 0 ||
                       take_address(&o->tun_address6, value, UDPTUN_ENDPOINT_IP6)
                   ? OPTIONS_RUN
                   : proxy_options_usage(
                         "--tun-address6 is neither an IPv6 address/prefix nor none", value);
    case OPT_MARK:
        if (!parse_number(value, UINT32_MAX, &number))
            return proxy_options_usage("--mark is not a 32-bit number", value);
        o->mark = (uint32_t)number;
        return OPTIONS_RUN;
    case OPT_VERSION:
        puts("ProxyController " UDPTUN_VERSION);
        return OPTIONS_DONE;
    case 'h':
        fputs(help_text, stdout);
        return OPTIONS_DONE;
    default:
        fputs("Try ProxyController --help.\n", stderr); /* getopt said what is wrong */
        return OPTIONS_USAGE;
    }
}

enum options_result proxy_options_parse(struct proxy_options *o, int argc, char **argv)
{
    *o = (struct proxy_options){.owner = NO_OWNER, .tun_name = DEFAULT_TUN, .mark = DEFAULT_MARK};
    take_address(&o->tun_address, DEFAULT_ADDRESS, UDPTUN_ENDPOINT_IP4);
    take_address(&o->tun_address6, DEFAULT_ADDRESS6, UDPTUN_ENDPOINT_IP6);
    for (;;) {
        int option = getopt_long(argc, argv, "s:u:l:dh", long_options, NULL);
        if (option < 0)
            break;
        enum options_result result = proxy_options_take(o, option, optarg);
        if (result != OPTIONS_RUN)
            return result;
    }
    if (optind < argc && o->socket_path)
        return proxy_options_usage("the socket is given twice", argv[optind]);
    if (optind < argc)
        o->socket_path = argv[optind++];
    if (optind < argc)
        return proxy_options_usage("unexpected argument", argv[optind]);
    if (!o->socket_path)
        o->socket_path = DEFAULT_SOCKET;
    static char state_path[4200];
    snprintf(state_path, sizeof state_path, "%s.routing", o->socket_path);
    o->state_path = state_path;
    return OPTIONS_RUN;
}
