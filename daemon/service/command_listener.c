/* SPDX-License-Identifier: Apache-2.0 */
/* command_listener.c - see command_listener.h. The folder is locked from the look at an old socket
 * to the bind of the new one, so that of two daemons that start at once one alone finds a stale
 * socket. */
#include "daemon/service/command_listener.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <libgen.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "daemon/platform/files.h"

#define DEFAULT_GROUP "udptun"
#define BACKLOG       512 /* a client that does not wait gets EAGAIN beyond it */

/* The gid of a name or number; `wanted` NULL: that of DEFAULT_GROUP, or our own. */
static int find_group(const char *wanted, gid_t *gid, struct udptun_error *err)
{
    const struct group *entry = getgrnam(wanted ? wanted : DEFAULT_GROUP);
    if (entry) {
        *gid = entry->gr_gid;
        return 0;
    }
    *gid = getegid();
    if (!wanted)
        return 0;
    char *end;
    unsigned long number = strtoul(wanted, &end, 10);
    if (*wanted < '0' || *wanted > '9' || *end || number >= (gid_t)-1)
        return error_set(err, UDPTUN_E_NOT_FOUND, NULL, "group %s: not found", wanted);
    *gid = (gid_t)number;
    return 0;
}

static bool answers(const struct sockaddr_un *address)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return false;
    /* EAGAIN: someone listens, with a full backlog. */
    bool live =
        connect(fd, (const struct sockaddr *)address, sizeof *address) == 0 || errno == EAGAIN;
    close(fd);
    return live;
}

static int clear_the_place(const struct sockaddr_un *address, struct udptun_error *err)
{
    struct stat st;
    if (lstat(address->sun_path, &st) < 0)
        return 0;
    if (!S_ISSOCK(st.st_mode))
        return error_set(err, UDPTUN_E_CONFLICT, NULL, "%s: exists and is no socket",
                         address->sun_path);
    if (answers(address))
        return error_set(err, UDPTUN_E_CONFLICT, NULL, "%s: another udptund is running there",
                         address->sun_path);
    if (unlink(address->sun_path) < 0)
        return error_set_errno(err, UDPTUN_E_SYSTEM, errno, NULL, "%s", address->sun_path);
    return 0;
}

static int bind_socket(struct command_listener *l, const struct sockaddr_un *address, mode_t mode,
                       const char *group, struct udptun_error *err)
{
    int rc = find_group(group, &l->group, err);
    if (rc < 0)
        return rc;
    l->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (l->fd < 0)
        return error_set_errno(err, UDPTUN_E_SYSTEM, errno, NULL, "command socket");
    /* Its mode from the beginning: chmod() by name might meet another file that was put there.
     * Nobody connects before listen(). */
    mode_t before = umask(~mode & 0777);
    int failed = bind(l->fd, (const struct sockaddr *)address, sizeof *address);
    int why = errno;
    umask(before);
    if (failed < 0)
        return error_set_errno(err, UDPTUN_E_SYSTEM, why, NULL, "%s", address->sun_path);
    struct stat st;
    if (lchown(l->path, (uid_t)-1, l->group) < 0) {
        if (group)
            return error_set_errno(err, UDPTUN_E_SYSTEM, errno, NULL, "%s: group %s", l->path,
                                   group);
        l->group = getegid(); /* an unprivileged daemon, not in the default group */
    }
    if (listen(l->fd, BACKLOG) < 0 || lstat(l->path, &st) < 0)
        return error_set_errno(err, UDPTUN_E_SYSTEM, errno, NULL, "%s", l->path);
    l->device = st.st_dev;
    l->inode = st.st_ino;
    return 0;
}

static int open_in_folder(struct command_listener *l, const struct sockaddr_un *address,
                          mode_t mode, const char *group, struct udptun_error *err)
{
    char copy[sizeof address->sun_path];
    snprintf(copy, sizeof copy, "%s", address->sun_path);
    const char *folder = dirname(copy);
    int rc = make_folders(folder, 0755, err);
    if (rc < 0)
        return rc;
    int lock = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (lock < 0)
        return error_set_errno(err, UDPTUN_E_SYSTEM, errno, NULL, "%s", folder);
    flock(lock, LOCK_EX);
    rc = clear_the_place(address, err);
    if (rc == 0)
        rc = bind_socket(l, address, mode, group, err);
    close(lock);
    return rc;
}

int command_listener_open(struct command_listener *l, const char *path, mode_t mode,
                          const char *group, struct udptun_error *err)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    *l = (struct command_listener){.fd = -1};
    if (strlen(path) >= sizeof address.sun_path)
        return error_set(err, UDPTUN_E_SYSTEM, NULL, "%s: longer than the %zu bytes of a socket",
                         path, sizeof address.sun_path - 1);
    strcpy(address.sun_path, path);
    l->path = strdup(path);
    if (!l->path)
        return error_set(err, UDPTUN_E_NOMEM, NULL, "out of memory");
    int rc = open_in_folder(l, &address, mode, group, err);
    if (rc < 0)
        command_listener_close(l);
    return rc;
}

int command_listener_adopt(struct command_listener *l, int fd, const char *group,
                           struct udptun_error *err)
{
    struct sockaddr_un address = {0};
    socklen_t size = sizeof address, value_size = sizeof(int);
    int listening = 0, kind = 0;
    struct stat st;
    *l = (struct command_listener){.fd = -1};
    if (getsockname(fd, (struct sockaddr *)&address, &size) < 0 || address.sun_family != AF_UNIX ||
        getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &value_size) < 0 || !listening ||
        getsockopt(fd, SOL_SOCKET, SO_TYPE, &kind, &value_size) < 0 || kind != SOCK_STREAM ||
        fcntl(fd, F_SETFL, O_NONBLOCK) < 0)
        return error_set(err, UDPTUN_E_SYSTEM, NULL,
                         "the socket handed over is no Unix stream socket that listens");
    int rc = find_group(group, &l->group, err);
    if (rc < 0)
        return rc;
    if (!group && size > offsetof(struct sockaddr_un, sun_path) && address.sun_path[0] &&
        stat(address.sun_path, &st) == 0)
        l->group = st.st_gid;
    l->fd = fd;
    return 0;
}

void command_listener_close(struct command_listener *l)
{
    struct stat st;
    if (l->fd >= 0) {
        close(l->fd);
        if (l->inode && lstat(l->path, &st) == 0 && st.st_dev == l->device && st.st_ino == l->inode)
            unlink(l->path);
    }
    free(l->path);
    *l = (struct command_listener){.fd = -1};
}
