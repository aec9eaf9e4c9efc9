/* SPDX-License-Identifier: Apache-2.0 */
/* error_names.c - the names of error numbers, POSIX. */
#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "daemon/platform/result.h"

#define NAMED(symbol)                                                                              \
    {                                                                                              \
#symbol, symbol                                                                            \
    }

static const struct {
    const char *name;
    int number;
} names[] = {
    NAMED(E2BIG),
    NAMED(EACCES),
    NAMED(EADDRINUSE),
    NAMED(EADDRNOTAVAIL),
    NAMED(EAFNOSUPPORT),
    NAMED(EAGAIN),
    NAMED(EALREADY),
    NAMED(EBADF),
    NAMED(EBADMSG),
    NAMED(EBUSY),
    NAMED(ECANCELED),
    NAMED(ECHILD),
    NAMED(ECONNABORTED),
    NAMED(ECONNREFUSED),
    NAMED(ECONNRESET),
    NAMED(EDEADLK),
    NAMED(EDESTADDRREQ),
    NAMED(EDOM),
    NAMED(EDQUOT),
    NAMED(EEXIST),
    NAMED(EFAULT),
    NAMED(EFBIG),
    NAMED(EHOSTDOWN),
    NAMED(EHOSTUNREACH),
    NAMED(EIDRM),
    NAMED(EILSEQ),
    NAMED(EINPROGRESS),
    NAMED(EINTR),
    NAMED(EINVAL),
    NAMED(EIO),
    NAMED(EISCONN),
    NAMED(EISDIR),
    NAMED(ELOOP),
    NAMED(EMFILE),
    NAMED(EMLINK),
    NAMED(EMSGSIZE),
    NAMED(ENAMETOOLONG),
    NAMED(ENETDOWN),
    NAMED(ENETRESET),
    NAMED(ENETUNREACH),
    NAMED(ENFILE),
    NAMED(ENOBUFS),
    NAMED(ENODEV),
    NAMED(ENOENT),
    NAMED(ENOEXEC),
    NAMED(ENOLCK),
    NAMED(ENOMEM),
    NAMED(ENOMSG),
    NAMED(ENOPROTOOPT),
    NAMED(ENOSPC),
    NAMED(ENOSYS),
    NAMED(ENOTCONN),
    NAMED(ENOTDIR),
    NAMED(ENOTEMPTY),
    NAMED(ENOTSOCK),
    NAMED(ENOTTY),
    NAMED(ENXIO),
    NAMED(EOPNOTSUPP),
    NAMED(EOVERFLOW),
    NAMED(EPERM),
    NAMED(EPIPE),
    NAMED(EPROTO),
    NAMED(EPROTONOSUPPORT),
    NAMED(EPROTOTYPE),
    NAMED(ERANGE),
    NAMED(EROFS),
    NAMED(ESPIPE),
    NAMED(ESRCH),
    NAMED(ESTALE),
    NAMED(ETIMEDOUT),
    NAMED(ETXTBSY),
    NAMED(EXDEV),
    {"ENOTSUP", ENOTSUP}, /* behind EOPNOTSUPP, which may be the same number */
    {"EWOULDBLOCK", EWOULDBLOCK},
};

const char *io_name(int os_error)
{
    for (size_t i = 0; os_error > 0 && i < sizeof names / sizeof *names; i++)
        if (names[i].number == os_error)
            return names[i].name;
    return NULL;
}

int io_by_name(const char *name)
{
    for (size_t i = 0; name && i < sizeof names / sizeof *names; i++)
        if (strcmp(names[i].name, name) == 0)
            return names[i].number;
    return 0;
}
