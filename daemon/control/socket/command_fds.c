/* SPDX-License-Identifier: Apache-2.0 */
/* command_fds.c - see command_fds.h. */
#include "daemon/control/socket/command_fds.h"

#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

void fds_close(struct fds *fds)
{
    for (unsigned i = 0; i < fds->count; i++) {
        if (fds->fd[i] >= 0)
            close(fds->fd[i]);
    }
    fds->count = 0;
}

void fds_in_close(struct fds_in *in)
{
    for (unsigned i = 0; i < in->count; i++)
        fds_close(&in->reads[i].fds);
    in->count = 0;
}

/* What does not fit is closed. */
static void note(struct fds_in *in, const struct cmsghdr *header, size_t from, size_t to)
{
    struct fds_read read = {.from = from, .to = to};
    read.fds.count = (unsigned)((header->cmsg_len - CMSG_LEN(0)) / sizeof(int));
    if (read.fds.count > FDS_PER_MESSAGE)
        read.fds.count = FDS_PER_MESSAGE;
    memcpy(read.fds.fd, CMSG_DATA(header), read.fds.count * sizeof(int));
    if (in->count < FDS_READS)
        in->reads[in->count++] = read;
    else
        fds_close(&read.fds);
}

ssize_t fds_receive(struct fds_in *in, int socket, void *to, size_t size, size_t at)
{
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(FDS_PER_MESSAGE * sizeof(int))];
    } room;
    struct iovec bytes = {.iov_base = to, .iov_len = size};
    struct msghdr message = {.msg_iov = &bytes,
                             .msg_iovlen = 1,
                             .msg_control = room.bytes,
                             .msg_controllen = sizeof room.bytes};
    ssize_t n = recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
    if (n < 0)
        return n;
    /* Those beyond the room were closed by the system. */
    for (struct cmsghdr *h = CMSG_FIRSTHDR(&message); h; h = CMSG_NXTHDR(&message, h)) {
        if (h->cmsg_level == SOL_SOCKET && h->cmsg_type == SCM_RIGHTS)
            note(in, h, at, at + (size_t)n);
    }
    return n;
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
