/* SPDX-License-Identifier: Apache-2.0 */
/* options.h - ProxyController's command line. */
#ifndef PROXY_OPTIONS_H
#define PROXY_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "controller/proxy/linux/device.h"
#include "daemon/platform/process/command_listener.h"
#include "daemon/service/exit.h"

struct proxy_options {
    const char *socket_path;
    uint32_t owner;         /* of the socket; NO_OWNER: the process's own user */
    const char *state_path; /* of the file that outlives a crash: beside the socket */
    const char *log_file;
    bool daemonize;
    const char *udptund; /* its socket; NULL: libclient knows where */
    const char *tun_name;
    struct device_address tun_address, tun_address6;
    uint32_t mark;
};

enum options_result proxy_options_parse(struct proxy_options *o, int argc, char **argv);

#endif
