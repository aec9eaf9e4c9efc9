/* SPDX-License-Identifier: Apache-2.0 */
/* result.c - the one list of error numbers, POSIX. */
#include "daemon/platform/result.h"

#include <errno.h>
#include <stdio.h>

enum io io_of(int os_error)
{
#if EWOULDBLOCK != EAGAIN
    if (os_error == EWOULDBLOCK)
        return IO_AGAIN;
#endif
#if EOPNOTSUPP != ENOTSUP
    if (os_error == ENOTSUP)
        return IO_UNSUPPORTED;
#endif
    switch (os_error) {
    case 0:
        return IO_OK;
    case EAGAIN:
    case EINTR:
    case EINPROGRESS: /* of connect(), whose end the loop tells */
    case ENOBUFS:     /* the queue of the interface; where memory is meant, see socket.c */
        return IO_AGAIN;
    case ECONNREFUSED:
        return IO_REFUSED;
    case EHOSTUNREACH:
    case EHOSTDOWN:
        return IO_HOST_UNREACHABLE;
    case ENETUNREACH:
    case ENETDOWN:
        return IO_NET_UNREACHABLE;
    case ETIMEDOUT:
        return IO_TIMED_OUT;
    case ECONNRESET:
        return IO_RESET;
    case EPIPE:
        return IO_CLOSED;
    case ECONNABORTED:
        return IO_ABORTED;
    case EMSGSIZE:
        return IO_TOO_BIG;
    case EACCES:
    case EPERM:
        return IO_DENIED;
    case EADDRINUSE:
        return IO_IN_USE;
    case EADDRNOTAVAIL:
        return IO_NO_ADDRESS;
    case EAFNOSUPPORT:
        return IO_NO_FAMILY;
    case ENODEV:
        return IO_NO_DEVICE;
    case ENOENT:
    case ENOTDIR:
        return IO_NOT_FOUND;
    case ENAMETOOLONG:
        return IO_BAD_NAME;
    case EMFILE:
    case ENFILE:
        return IO_FULL;
    case ENOMEM:
        return IO_NO_MEMORY;
    case EOPNOTSUPP:
    case ENOSYS:
        return IO_UNSUPPORTED;
    case EINVAL:
        return IO_INVALID;
    case EPROTO:
        return IO_PROTOCOL;
    }
    return IO_FAILED;
}

int io_last(void)
{
    return errno;
}

int io_error(enum io what)
{
    switch (what) {
    case IO_OK:
        return 0;
    case IO_AGAIN:
        return EAGAIN;
    case IO_REFUSED:
        return ECONNREFUSED;
    case IO_HOST_UNREACHABLE:
        return EHOSTUNREACH;
    case IO_NET_UNREACHABLE:
        return ENETUNREACH;
    case IO_TIMED_OUT:
        return ETIMEDOUT;
    case IO_RESET:
        return ECONNRESET;
    case IO_CLOSED:
        return EPIPE;
    case IO_ABORTED:
        return ECONNABORTED;
    case IO_TOO_BIG:
        return EMSGSIZE;
    case IO_DENIED:
        return EACCES;
    case IO_IN_USE:
        return EADDRINUSE;
    case IO_NO_ADDRESS:
        return EADDRNOTAVAIL;
    case IO_NO_FAMILY:
        return EAFNOSUPPORT;
    case IO_NO_DEVICE:
        return ENODEV;
    case IO_NOT_FOUND:
        return ENOENT;
    case IO_BAD_NAME:
        return ENAMETOOLONG;
    case IO_FULL:
        return EMFILE;
    case IO_NO_MEMORY:
        return ENOMEM;
    case IO_UNSUPPORTED:
        return EOPNOTSUPP;
    case IO_INVALID:
        return EINVAL;
    case IO_PROTOCOL:
        return EPROTO;
    case IO_FAILED:
        return EIO;
    }
    return EIO;
}

/* Where the system's own text would be taken for that of a proxy or server. NULL: elsewhere. */
static const char *own_text(int os_error)
{
    switch (os_error) {
    case EMFILE:
        return "this process has too many open files; raise its limit (LimitNOFILE=, ulimit -n)";
    case ENFILE:
        return "this host has too many open files";
    }
    return NULL;
}

char *io_text(int os_error, char text[IO_TEXT_SIZE])
{
    const char *own = own_text(os_error);
    if (!own)
        return errno_text(os_error, text);
    snprintf(text, IO_TEXT_SIZE, "%s", own);
    return text;
}
