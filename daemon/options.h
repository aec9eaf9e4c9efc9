/* SPDX-License-Identifier: Apache-2.0 */
/* options.h - udptund's command line. */
#ifndef DAEMON_OPTIONS_H
#define DAEMON_OPTIONS_H

#include <limits.h>
#include <stdbool.h>

#include <udptun/engine.h>

#include "daemon/service/exit.h"

struct udptund_options {
    const char *config_file;
    const char *socket_path; /* never NULL once parsed */
    unsigned socket_mode;    /* permissions, as 0660 */
    const char *socket_group;
    const char *state_dir; /* NULL: --no-state */
    const char *metrics;   /* NULL: none by HTTP */
    bool daemonize;
    const char *pid_file;
    enum udptun_log_level log_level;
    bool log_json;
    int64_t max_buffer_bytes; /* UDPTUN_DEFAULT: the engine's default */
    bool check_config;
    char socket_room[PATH_MAX]; /* what the two paths point into unless they were given */
    char state_room[PATH_MAX];
};

enum options_result udptund_options_parse(struct udptund_options *o, int argc, char **argv);

#endif
