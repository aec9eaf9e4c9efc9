/* SPDX-License-Identifier: Apache-2.0 */
/* local.c - descriptors that go with bytes (SCM_RIGHTS). */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/uio.h>

#include "daemon/platform/local.h"
#include "daemon/platform/posix/address.h"

enum { MOST_DESCRIPTORS = 16 };

#ifndef MSG_CMSG_CLOEXEC
#define MSG_CMSG_CLOEXEC 0
#endif

static void local_take(const struct cmsghdr *header, udptun_socket *fds, size_t room, size_t *count)
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

int local_read(udptun_socket s, void *to, size_t size, size_t *got, udptun_socket *fds,
               size_t *count)
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
            local_take(h, fds, room, count);
    return 0;
}

int local_write(udptun_socket s, const void *data, size_t size, size_t *sent,
                const udptun_socket *fds, size_t count)
{
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(MOST_DESCRIPTORS * sizeof(int))];
    } control = {0};
    struct iovec bytes = {.iov_base = (void *)(uintptr_t)data, .iov_len = size};
    struct msghdr message = {.msg_iov = &bytes, .msg_iovlen = 1};
    *sent = 0;
    if (count > MOST_DESCRIPTORS)
        return EINVAL;
    if (count > 0) {
        message.msg_control = control.bytes;
        message.msg_controllen =
            (__typeof__(message.msg_controllen))CMSG_SPACE(count * sizeof(int));
        struct cmsghdr *header = CMSG_FIRSTHDR(&message);
        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_RIGHTS;
        header->cmsg_len = (__typeof__(header->cmsg_len))CMSG_LEN(count * sizeof(int));
        memcpy(CMSG_DATA(header), fds, count * sizeof(int));
    }
    ssize_t result = sendmsg(s, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    *sent = result < 0 ? 0 : (size_t)result;
    return result < 0 ? errno : 0;
}

bool local_is_gone(udptun_socket s)
{
    struct pollfd gone = {.fd = s};
    return poll(&gone, 1, 0) != 0;
}

int local_connect(const char *path, udptun_socket *made)
{
    return socket_connect_local(path, made);
}
