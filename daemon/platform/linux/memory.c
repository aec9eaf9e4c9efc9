/* SPDX-License-Identifier: Apache-2.0 */
/* memory.c - memory on Linux: the machine's, or the limit of a cgroup around this process. */
#include "daemon/platform/memory.h"

#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifdef __GLIBC__
#include <malloc.h>
#endif

#ifndef MLOCK_ONFAULT /* of <linux/mman.h>, where the C library has no mlock2() */
#define MLOCK_ONFAULT 1
#endif

#define CGROUPS "/sys/fs/cgroup"

/* The smaller of `most` and what the file says; "max", and no file, say nothing. */
static uint64_t memory_least(const char *path, uint64_t most)
{
    char text[32] = "", *end;
    FILE *f = fopen(path, "re");
    if (!f)
        return most;
    if (!fgets(text, sizeof text, f))
        text[0] = '\0';
    fclose(f);
    unsigned long long value = strtoull(text, &end, 10);
    return end != text && value < most ? value : most;
}

/* Our group's limit, and those of the groups around it (version 2, one line "0::/a/b"). */
static uint64_t least_of_groups(uint64_t most)
{
    char line[PATH_MAX], path[PATH_MAX + sizeof CGROUPS + 16];
    FILE *f = fopen("/proc/self/cgroup", "re");
    if (!f)
        return most;
    while (fgets(line, sizeof line, f)) {
        if (strncmp(line, "0::/", 4) != 0)
            continue;
        char *group = line + 3;
        group[strcspn(group, "\n")] = '\0';
        for (char *slash; *group; *slash = '\0') {
            snprintf(path, sizeof path, CGROUPS "%s/memory.max", group);
            most = memory_least(path, most);
            slash = strrchr(group, '/');
        }
    }
    fclose(f);
    return most;
}

uint64_t memory_available(void)
{
    long pages = sysconf(_SC_PHYS_PAGES), size = sysconf(_SC_PAGESIZE);
    uint64_t most = pages > 0 && size > 0 ? (uint64_t)pages * (uint64_t)size : UINT64_MAX;
    most = memory_least(CGROUPS "/memory.max", most); /* a container sees its own root */
    most = memory_least(CGROUPS "/memory/memory.limit_in_bytes", most); /* version 1 */
    most = least_of_groups(most);
    return most == UINT64_MAX ? 0 : most;
}

void memory_give_back(void)
{
#ifdef __GLIBC__
    malloc_trim(0);
#endif
}

/* Whether all may be locked: with a bound, an allocation beyond it would fail. There is none for a
 * process with CAP_IPC_LOCK, which a container may seem to have: so it is tried. */
static bool may_lock_all(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_MEMLOCK, &limit) < 0)
        return false;
    if (limit.rlim_cur == RLIM_INFINITY)
        return true;
    size_t size = (size_t)limit.rlim_cur + (size_t)sysconf(_SC_PAGESIZE);
    void *pages = mmap(NULL, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (pages == MAP_FAILED)
        return false;
    bool may = syscall(SYS_mlock2, pages, size, MLOCK_ONFAULT) == 0;
    munmap(pages, size);
    return may;
}

void memory_hide(void)
{
    struct rlimit none = {0, 0};
    (void)setrlimit(RLIMIT_CORE, &none);
    (void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    if (may_lock_all())
        (void)mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT);
}
