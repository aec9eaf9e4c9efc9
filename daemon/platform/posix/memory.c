/* SPDX-License-Identifier: Apache-2.0 */
/* memory.c - the machine's memory; the allocator is left alone. */
#include "daemon/platform/memory.h"

#include <sys/resource.h>
#include <unistd.h>

uint64_t memory_available(void)
{
    long pages = -1, size = sysconf(_SC_PAGESIZE);
#ifdef _SC_PHYS_PAGES
    pages = sysconf(_SC_PHYS_PAGES);
#endif
    return pages > 0 && size > 0 ? (uint64_t)pages * (uint64_t)size : 0;
}

void memory_give_back(void)
{
}

void memory_hide(void)
{
    struct rlimit none = {0, 0};
    (void)setrlimit(RLIMIT_CORE, &none);
}
