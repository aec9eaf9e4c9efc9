/* SPDX-License-Identifier: Apache-2.0 */
/* vector.h - spans as the system's vectors, which have the same members in the same places. */
#ifndef PLATFORM_POSIX_VECTOR_H
#define PLATFORM_POSIX_VECTOR_H

#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "daemon/platform/span.h"

_Static_assert(sizeof(struct io_span) == sizeof(struct iovec) &&
                   offsetof(struct io_span, data) == offsetof(struct iovec, iov_base) &&
                   offsetof(struct io_span, size) == offsetof(struct iovec, iov_len),
               "a span is what the system takes");

/* For a call that writes: what is in the spans is not changed. */
static inline struct iovec *vector_of(const struct io_span *spans)
{
    return (struct iovec *)(uintptr_t)spans;
}

#endif
