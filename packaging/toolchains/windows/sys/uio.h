/* SPDX-License-Identifier: Apache-2.0 */
/* sys/uio.h - the one type of it that tun2socks names. */
#ifndef WINDOWS_SYS_UIO_H
#define WINDOWS_SYS_UIO_H

#include <stddef.h>

struct iovec {
    void *iov_base;
    size_t iov_len;
};

#endif
