/* SPDX-License-Identifier: Apache-2.0 */
/* process.c - see process.h. */
#include "daemon/platform/process/process.h"

#include <pwd.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>

#ifdef __GLIBC__
#include <malloc.h>
#endif

void process_ignore_broken_pipes(void)
{
    signal(SIGPIPE, SIG_IGN);
}

void process_raise_limits(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

void process_share_arena(void)
{
#ifdef __GLIBC__
    mallopt(M_ARENA_MAX, 1);
#endif
}

bool process_user_id(const char *name, uint32_t *id)
{
    const struct passwd *user = getpwnam(name);
    if (!user)
        return false;
    *id = user->pw_uid;
    return true;
}

char *process_absolute_path(const char *path)
{
    return realpath(path, NULL);
}
