/* SPDX-License-Identifier: Apache-2.0 */
/* packet_socket.c - local sockets that keep packets apart: SOCK_SEQPACKET. */
#include <errno.h>

#include "daemon/platform/posix/address.h"

int packet_socket_connect(const char *path, udptun_socket *made)
{
    union socket_address sa;
    socklen_t size = sockaddr_from_path(&sa, path);
    *made = NO_SOCKET;
    int failure = size ? socket_make(AF_UNIX, SOCK_SEQPACKET, NULL, made) : ENAMETOOLONG;
    if (failure || connect(*made, &sa.any, size) == 0)
        return failure;
    failure = socket_making_error();
    socket_close(*made);
    *made = NO_SOCKET;
    return failure;
}
