/* SPDX-License-Identifier: Apache-2.0 */
/* options.c - see options.h. Defaults are those of docs: the system's places for root, the
 * user's own for everybody else. */
#include "daemon/options.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/platform/local.h"
#include "daemon/service/log.h"

enum {
    OPT_SOCKET_MODE = 256,
    OPT_SOCKET_GROUP,
    OPT_STATE_DIR,
    OPT_NO_STATE,
    OPT_PID_FILE,
    OPT_LOG_LEVEL,
    OPT_LOG_FORMAT,
    OPT_METRICS,
    OPT_MAX_BUFFER_BYTES,
    OPT_CHECK_CONFIG,
    OPT_VERSION,
};

static const struct option long_options[] = {
    {"config", required_argument, NULL, 'c'},
    {"socket", required_argument, NULL, 's'},
    {"socket-mode", required_argument, NULL, OPT_SOCKET_MODE},
    {"socket-group", required_argument, NULL, OPT_SOCKET_GROUP},
    {"state-dir", required_argument, NULL, OPT_STATE_DIR},
    {"no-state", no_argument, NULL, OPT_NO_STATE},
    {"daemonize", no_argument, NULL, 'd'},
    {"pid-file", required_argument, NULL, OPT_PID_FILE},
    {"log-level", required_argument, NULL, OPT_LOG_LEVEL},
    {"log-format", required_argument, NULL, OPT_LOG_FORMAT},
    {"metrics", required_argument, NULL, OPT_METRICS},
    {"max-buffer-bytes", required_argument, NULL, OPT_MAX_BUFFER_BYTES},
    {"check-config", no_argument, NULL, OPT_CHECK_CONFIG},
    {"version", no_argument, NULL, OPT_VERSION},
    {"help", no_argument, NULL, 'h'},
    {NULL, 0, NULL, 0},
};

static const char help_text[] =
    "Usage: udptund [OPTION]...\n"
    "Carries UDP inside TCP-like streams: runs udp-local and udp-server tunnels as told over its\n"
    "command socket (see udptunctl) and by its config file.\n"
    "\n"
    "  -c, --config FILE        config file, JSON\n"
    "  -s, --socket PATH        command socket (default: $UDPTUND_SOCKET, else\n"
    "                           /run/udptund/control.sock for root, else\n"
    "                           $XDG_RUNTIME_DIR/udptund/control.sock)\n"
    "      --socket-mode MODE   its permissions, octal (default: 0660)\n"
    "      --socket-group GROUP its group, whose members may configure (default: udptun where\n"
    "                           it exists)\n"
    "      --state-dir DIR      where run-time tunnels are kept (default: /var/lib/udptund for\n"
    "                           root, else $XDG_STATE_HOME/udptund)\n"
    "      --no-state           keep nothing over a restart\n"
    "  -d, --daemonize          go to the background once everything is up\n"
    "      --pid-file FILE      write the process id there\n"
    "      --log-level LEVEL    error, warn, info or debug (default: info)\n"
    "      --log-format FORMAT  text or json (default: text)\n"
    "      --metrics PLACE      OpenMetrics by HTTP at /metrics: HOST:PORT or unix:PATH\n"
    "      --max-buffer-bytes SIZE\n"
    "                           most that all flows together may hold, 1M or more (default: a\n"
    "                           quarter of the memory, at most 256M)\n"
    "      --check-config       check the config file and exit\n"
    "      --version            print the version and exit\n"
    "  -h, --help               print this and exit\n"
    "\n"
    "Exit status: 0 ok, 1 failed, 2 usage, 3 bad configuration.\n";

static bool parse_mode(const char *text, unsigned *mode)
{
    char *end;
    unsigned long value = strtoul(text, &end, 8);
    *mode = (unsigned)value;
    return *text >= '0' && *text <= '7' && *end == '\0' && value <= 0777;
}

/* Bytes, or with K, M or G behind them. */
static bool parse_size(const char *text, int64_t *size)
{
    static const char units[] = "KMG";
    char *end;
    long long value = *text >= '0' && *text <= '9' ? strtoll(text, &end, 10) : -1;
    unsigned shift = 0;
    if (value >= 0 && *end) {
        const char *unit = strchr(units, *end);
        if (!unit || end[1])
            return false;
        shift = 10 * (unsigned)(unit - units + 1);
    }
    *size = value < 0 || value > INT64_MAX >> shift ? -1 : (int64_t)value << shift;
    return *size >= 1 << 20;
}

static enum options_result udptund_options_usage(const char *what, const char *value)
{
    fprintf(stderr, "udptund: %s%s%s; see udptund --help\n", what, value ? ": " : "",
            value ? value : "");
    return OPTIONS_USAGE;
}

/* One option that was read; OPTIONS_RUN to go on. */
static enum options_result udptund_options_take(struct udptund_options *o, int option,
                                                const char *value)
{
    if (value && !*value)
        return udptund_options_usage("an option has an empty value", NULL);
    switch (option) {
    case 'c':
        o->config_file = value;
        return OPTIONS_RUN;
    case 's':
        o->socket_path = value;
        return OPTIONS_RUN;
    case OPT_SOCKET_MODE:
        return parse_mode(value, &o->socket_mode)
                   ? OPTIONS_RUN
                   : udptund_options_usage("--socket-mode is not octal", value);
    case OPT_SOCKET_GROUP:
        o->socket_group = value;
        return OPTIONS_RUN;
    case OPT_STATE_DIR:
        o->state_dir = value;
        return OPTIONS_RUN;
    case OPT_NO_STATE:
        return OPTIONS_RUN; /* looked at by udptund_options_parse() */
    case 'd':
        o->daemonize = true;
        return OPTIONS_RUN;
    case OPT_PID_FILE:
        o->pid_file = value;
        return OPTIONS_RUN;
    case OPT_LOG_LEVEL:
        return log_level_parse(value, &o->log_level)
                   ? OPTIONS_RUN
                   : udptund_options_usage("--log-level is unknown", value);
    case OPT_LOG_FORMAT:
        o->log_json = strcmp(value, "json") == 0;
        return o->log_json || strcmp(value, "text") == 0
                   ? OPTIONS_RUN
                   : udptund_options_usage("--log-format is unknown", value);
    case OPT_METRICS:
        o->metrics = value;
        return OPTIONS_RUN;
    case OPT_MAX_BUFFER_BYTES:
        return parse_size(value, &o->max_buffer_bytes)
                   ? OPTIONS_RUN
                   : udptund_options_usage("--max-buffer-bytes is not a size of 1M or more", value);
    case OPT_CHECK_CONFIG:
        o->check_config = true;
        return OPTIONS_RUN;
    case OPT_VERSION:
        printf("udptund %s\n", udptun_version());
        return OPTIONS_DONE;
    case 'h':
        fputs(help_text, stdout);
        return OPTIONS_DONE;
    default:
        fputs("Try udptund --help.\n", stderr); /* getopt said what is wrong */
        return OPTIONS_USAGE;
    }
}

static bool default_socket(struct udptund_options *o)
{
    const char *path = getenv("UDPTUND_SOCKET");
    const char *run = getenv("XDG_RUNTIME_DIR");
    o->socket_path = o->socket_room;
    if (path && *path)
        snprintf(o->socket_room, sizeof o->socket_room, "%s", path);
    else if (local_is_root())
        snprintf(o->socket_room, sizeof o->socket_room, "/run/udptund/control.sock");
    else if (run && *run)
        snprintf(o->socket_room, sizeof o->socket_room, "%s/udptund/control.sock", run);
    else
        return false;
    return true;
}

static bool default_state(struct udptund_options *o)
{
    const char *state = getenv("XDG_STATE_HOME");
    const char *home = getenv("HOME");
    o->state_dir = o->state_room;
    if (local_is_root())
        snprintf(o->state_room, sizeof o->state_room, "/var/lib/udptund");
    else if (state && *state)
        snprintf(o->state_room, sizeof o->state_room, "%s/udptund", state);
    else if (home && *home)
        snprintf(o->state_room, sizeof o->state_room, "%s/.local/state/udptund", home);
    else
        return false;
    return true;
}

enum options_result udptund_options_parse(struct udptund_options *o, int argc, char **argv)
{
    bool no_state = false;
    *o = (struct udptund_options){
        .socket_mode = 0660, .log_level = UDPTUN_LOG_INFO, .max_buffer_bytes = UDPTUN_DEFAULT};
    for (;;) {
        int option = getopt_long(argc, argv, "c:s:dh", long_options, NULL);
        if (option < 0)
            break;
        no_state = no_state || option == OPT_NO_STATE;
        enum options_result result = udptund_options_take(o, option, optarg);
        if (result != OPTIONS_RUN)
            return result;
    }
    if (optind < argc)
        return udptund_options_usage("unexpected argument", argv[optind]);
    if (no_state && o->state_dir)
        return udptund_options_usage("--state-dir and --no-state exclude each other", NULL);
    if (o->check_config && !o->config_file)
        return udptund_options_usage("--check-config needs --config", NULL);
    if (o->check_config)
        return OPTIONS_RUN;
    if (!o->socket_path && !default_socket(o))
        return udptund_options_usage("--socket is needed where XDG_RUNTIME_DIR is not set", NULL);
    if (!no_state && !o->state_dir && !default_state(o))
        return udptund_options_usage("--state-dir or --no-state is needed where HOME is not set",
                                     NULL);
    return OPTIONS_RUN;
}
