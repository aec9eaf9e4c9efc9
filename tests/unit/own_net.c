/* SPDX-License-Identifier: Apache-2.0 */
/* own_net.c - a network and name settings of the test's own. */
#include "tests/unit/own_net.h"

#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

static bool write_file(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    size_t size = strlen(text);
    bool good = fd >= 0 && write(fd, text, size) == (ssize_t)size;
    if (fd >= 0)
        close(fd);
    return good;
}

/* Without rights of root, a user namespace gives them. */
static bool unshare_as_user(void)
{
    char map[64];
    unsigned uid = getuid(), gid = getgid();
    if (unshare(CLONE_NEWUSER | CLONE_NEWNET | CLONE_NEWNS) < 0)
        return false;
    write_file("/proc/self/setgroups", "deny");
    snprintf(map, sizeof map, "0 %u 1", uid);
    if (!write_file("/proc/self/uid_map", map))
        return false;
    snprintf(map, sizeof map, "0 %u 1", gid);
    return write_file("/proc/self/gid_map", map);
}

static bool loopback_up(void)
{
    struct ifreq request = {.ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING};
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return false;
    bool up = ioctl(fd, SIOCSIFFLAGS, &request) == 0;
    close(fd);
    return up;
}

bool own_net_enter(void)
{
    if (unshare(CLONE_NEWNET | CLONE_NEWNS) < 0 && !unshare_as_user())
        return false;
    return mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 && loopback_up();
}

bool own_net_file(const char *path, const char *text)
{
    char name[] = "/tmp/own_net_XXXXXX";
    int fd = mkstemp(name);
    if (fd < 0)
        return false;
    size_t size = strlen(text);
    bool good = write(fd, text, size) == (ssize_t)size && fchmod(fd, 0644) == 0;
    /* Over a file of ours, which is deleted by now, nothing can be laid. */
    if (good && mount(name, path, NULL, MS_BIND, NULL) < 0)
        good = umount2(path, MNT_DETACH) == 0 && mount(name, path, NULL, MS_BIND, NULL) == 0;
    close(fd);
    unlink(name);
    return good;
}
