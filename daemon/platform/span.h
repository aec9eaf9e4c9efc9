/* SPDX-License-Identifier: Apache-2.0 */
/* span.h - a piece of memory, for what is written in parts: a header and what follows it. */
#ifndef PLATFORM_SPAN_H
#define PLATFORM_SPAN_H

#include <stddef.h>

struct io_span {
    const void *data;
    size_t size; /* in bytes */
};

#endif
