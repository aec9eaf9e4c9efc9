/* SPDX-License-Identifier: Apache-2.0 */
/* command_fds.c - see command_fds.h. */
#include "daemon/control/socket/command_fds.h"

#include <string.h>

#include "daemon/platform/local.h"

void fds_close(struct fds *fds)
{
    for (unsigned i = 0; i < fds->count; i++) {
        if (fds->fd[i] != NO_SOCKET)
            socket_close(fds->fd[i]);
    }
    fds->count = 0;
}

void fds_in_close(struct fds_in *in)
{
    for (unsigned i = 0; i < in->count; i++)
        fds_close(&in->reads[i].fds);
    in->count = 0;
}

int fds_receive(struct fds_in *in, udptun_socket socket, void *to, size_t size, size_t at,
                size_t *got)
{
    struct fds_read read = {.from = at};
    size_t count = FDS_PER_MESSAGE;
    int failure = local_read(socket, to, size, got, read.fds.fd, &count);
    if (failure || count == 0)
        return failure;
    read.to = at + *got;
    read.fds.count = (unsigned)count;
    if (in->count < FDS_READS)
        in->reads[in->count++] = read;
    else
        fds_close(&read.fds); /* there is no room */
    return 0;
}

static bool begins_in(const uint8_t *input, size_t from, size_t to, bool json)
{
    for (size_t i = from; i < to; i++) {
        if (!json || !memchr(" \t\r\n", input[i], 4))
            return true;
    }
    return false;
}

void fds_take(struct fds_in *in, const uint8_t *input, size_t begin, size_t end, bool json,
              struct fds *out)
{
    unsigned kept = 0;
    for (unsigned i = 0; i < in->count; i++) {
        struct fds_read *read = &in->reads[i];
        size_t rest = end > read->from ? end : read->from;
        if (begins_in(input, rest, read->to, json))
            in->reads[kept++] = *read; /* of a message that comes later */
        else if (read->from <= begin && begin < read->to && out->count == 0)
            *out = read->fds;
        else
            fds_close(&read->fds);
    }
    in->count = kept;
}

void fds_shift(struct fds_in *in, size_t size)
{
    for (unsigned i = 0; i < in->count; i++) {
        struct fds_read *read = &in->reads[i];
        read->from -= read->from < size ? read->from : size;
        read->to -= read->to < size ? read->to : size;
    }
}
