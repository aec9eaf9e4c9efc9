/* SPDX-License-Identifier: Apache-2.0 */
/* socket_path.c - where the daemon's socket is; the rule is in <udptun/client.h>. */
#include "libclient/internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/platform/local.h"
#include "proto/error.h"

#define SYSTEM_SOCKET "/run/udptund/control.sock"
#define USER_SOCKET   "udptund/control.sock" /* below $XDG_RUNTIME_DIR */

static int add(struct udptun_client *client, const char *folder, const char *path,
               struct udptun_error *err)
{
    char *text;
    if (asprintf(&text, "%s%s%s", folder, folder[0] ? "/" : "", path) < 0)
        return error_set(err, UDPTUN_E_NOMEM, NULL, "out of memory");
    if (strlen(text) >= SOCKET_PATH_SIZE) {
        free(text);
        return error_set(err, UDPTUN_E_INVALID, "socket_path",
                         "socket path: longer than the %d bytes that a Unix socket can have: %s",
                         SOCKET_PATH_SIZE - 1, path);
    }
    client->paths[client->path_count++] = text;
    return UDPTUN_OK;
}

int socket_paths_find(struct udptun_client *client, const char *given, struct udptun_error *err)
{
    if (!given)
        given = getenv("UDPTUND_SOCKET");
    if (given && given[0])
        return add(client, "", given, err);

    const char *runtime = getenv("XDG_RUNTIME_DIR");
    if (!local_is_root() && runtime && runtime[0]) {
        int code = add(client, runtime, USER_SOCKET, err);
        if (code < 0)
            return code;
    }
    return add(client, "", SYSTEM_SOCKET, err);
}
