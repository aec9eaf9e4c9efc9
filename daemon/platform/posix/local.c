/* SPDX-License-Identifier: Apache-2.0 */
/* local.c - descriptors that come with bytes (SCM_RIGHTS). */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/uio.h>

#include "daemon/platform/local.h"
#include "daemon/platform/posix/address.h"

enum { MOST_DESCRIPTORS = 16 };

#ifndef MSG_CMSG_CLOEXEC
#define MSG_CMSG_CLOEXEC 0
#endif

static void take(const struct cmsghdr *header, int *fds, size_t room, size_t *count)
{
    size_t came = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (size_t i = 0; i < came; i++) {
        int fd;
        memcpy(&fd, CMSG_DATA(header) + i * sizeof fd, sizeof fd);
        if (*count < room) {
            fds[(*count)++] = fd;
            if (MSG_CMSG_CLOEXEC == 0)
                fcntl(fd, F_SETFD, FD_CLOEXEC);
        } else {
            socket_close(fd);
        }
    }
}

int local_read(udptun_socket s, void *to, size_t size, size_t *got, int *fds, size_t *count)
{
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(MOST_DESCRIPTORS * sizeof(int))];
    } control;
    struct iovec bytes = {.iov_base = to, .iov_len = size};
    struct msghdr message = {.msg_iov = &bytes, .msg_iovlen = 1, .msg_control = control.bytes};
    size_t room = *count < MOST_DESCRIPTORS ? *count : MOST_DESCRIPTORS;
    message.msg_controllen = (__typeof__(message.msg_controllen))CMSG_SPACE(room * sizeof(int));
    *count = *got = 0;
    ssize_t result = recvmsg(s, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
    if (result < 0)
        return errno;
    *got = (size_t)result;
    for (struct cmsghdr *h = CMSG_FIRSTHDR(&message); h; h = CMSG_NXTHDR(&message, h))
        if (h->cmsg_level == SOL_SOCKET && h->cmsg_type == SCM_RIGHTS)
            take(h, fds, room, count);
    return 0;
}
