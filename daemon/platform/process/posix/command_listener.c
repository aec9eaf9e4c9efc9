/* SPDX-License-Identifier: Apache-2.0 */
/* command_listener.c - see command_listener.h. The folder is locked from the look at an old socket
 * to the bind of the new one, so that of two daemons that start at once one alone finds a stale
 * socket. */
#include "daemon/platform/process/command_listener.h"

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
static int find_group(const char *wanted, uint32_t *gid, struct udptun_error *err)
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
    if (*wanted < '0' || *wanted > '9' || *end || number >= UINT32_MAX)
        return error_set(err, UDPTUN_E_NOT_FOUND, NULL, "group %s: not found", wanted);
    *gid = (uint32_t)number;
    return 0;
}

/* `errno` as an error about `path`. */
static int fail_errno(const char *path, struct udptun_error *err)
{
    int code = errno == EACCES || errno == EPERM ? UDPTUN_E_PERMISSION : UDPTUN_E_SYSTEM;
    return error_set_errno(err, code, errno, NULL, "%s", path);
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

/* Remove a socket on which nobody answers. */
static int remove_stale(const struct sockaddr_un *address, const char *program,
                        struct udptun_error *err)
{
    struct stat st;
    if (lstat(address->sun_path, &st) < 0)
        return 0;
    if (!S_ISSOCK(st.st_mode))
        return error_set(err, UDPTUN_E_CONFLICT, NULL, "%s: exists and is not a socket",
                         address->sun_path);
    if (answers(address))
        return error_set(err, UDPTUN_E_CONFLICT, NULL, "%s: another %s is running there",
                         address->sun_path, program);
    if (unlink(address->sun_path) < 0)
        return fail_errno(address->sun_path, err);
    return 0;
}

/* The socket's owner and group, by its name in the folder: nobody can connect yet. */
static int give_away(struct command_listener *l, const struct command_access *access,
                     struct udptun_error *err)
{
    if (access->own_group)
        l->group = getegid();
    if (access->owner != NO_OWNER && lchown(l->path, access->owner, (gid_t)-1) < 0)
        return fail_errno(l->path, err);
    if (access->own_group || lchown(l->path, (uid_t)-1, l->group) == 0)
        return 0;
    if (access->group)
        return error_set_errno(err, UDPTUN_E_SYSTEM, errno, NULL, "%s: group %s", l->path,
                               access->group);
    l->group = getegid(); /* an unprivileged daemon, not in the default group */
    return 0;
}

static int bind_socket(struct command_listener *l, const struct sockaddr_un *address,
                       const struct command_access *access, struct udptun_error *err)
{
    int rc = access->own_group ? 0 : find_group(access->group, &l->group, err);
    if (rc < 0)
        return rc;
    l->socket = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (l->socket < 0)
        return error_set_errno(err, UDPTUN_E_SYSTEM, errno, NULL, "command socket");
    /* Its mode from the beginning: chmod() by name might meet another file that was put there.
     * Nobody connects before listen(). */
    mode_t before = umask(~access->mode & 0777);
    int failed = bind(l->socket, (const struct sockaddr *)address, sizeof *address);
    int cause = errno;
    umask(before);
    errno = cause;
    struct stat st;
    if (failed < 0 || lstat(l->path, &st) < 0)
        return fail_errno(l->path, err);
    l->file[0] = st.st_dev;
    l->file[1] = st.st_ino;
    rc = give_away(l, access, err);
    if (rc == 0 && listen(l->socket, BACKLOG) < 0)
        rc = fail_errno(l->path, err);
    return rc;
}

static int open_in_folder(struct command_listener *l, const struct sockaddr_un *address,
                          const struct command_access *access, struct udptun_error *err)
{
    char copy[sizeof address->sun_path];
    snprintf(copy, sizeof copy, "%s", address->sun_path);
    const char *folder = dirname(copy);
    int rc = access->parents ? make_folders(folder, 0755, err) : 0;
    if (rc < 0)
        return rc;
    if (!access->parents)
        (void)mkdir(folder, 0755); /* if it is neither there nor made, open() tells */
    int lock = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (lock < 0)
        return fail_errno(address->sun_path, err);
    flock(lock, LOCK_EX);
    rc = remove_stale(address, access->program, err);
    if (rc == 0)
        rc = bind_socket(l, address, access, err);
    close(lock);
    return rc;
}

int command_listener_open(struct command_listener *l, const char *path,
                          const struct command_access *access, struct udptun_error *err)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    *l = (struct command_listener){.socket = NO_SOCKET};
    if (!*path)
        return error_set(err, UDPTUN_E_SYSTEM, NULL, "command socket: the path is empty");
    if (strlen(path) >= sizeof address.sun_path)
        return error_set(err, UDPTUN_E_SYSTEM, NULL, "%s: longer than the %zu bytes of a socket",
                         path, sizeof address.sun_path - 1);
    strcpy(address.sun_path, path);
    l->path = strdup(path);
    if (!l->path)
        return error_set(err, UDPTUN_E_NOMEM, NULL, "out of memory");
    int rc = open_in_folder(l, &address, access, err);
    if (rc < 0)
        command_listener_close(l);
    return rc;
}

int command_listener_adopt(struct command_listener *l, udptun_socket fd, const char *group,
                           struct udptun_error *err)
{
    struct sockaddr_un address = {0};
    socklen_t size = sizeof address, value_size = sizeof(int);
    int listening = 0, kind = 0;
    struct stat st;
    *l = (struct command_listener){.socket = NO_SOCKET};
    if (getsockname(fd, (struct sockaddr *)&address, &size) < 0 || address.sun_family != AF_UNIX ||
        getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &value_size) < 0 || !listening ||
        getsockopt(fd, SOL_SOCKET, SO_TYPE, &kind, &value_size) < 0 || kind != SOCK_STREAM ||
        fcntl(fd, F_SETFL, O_NONBLOCK) < 0)
        return error_set(err, UDPTUN_E_SYSTEM, NULL,
                         "the socket handed over is not a Unix stream socket that listens");
    int rc = find_group(group, &l->group, err);
    if (rc < 0)
        return rc;
    if (!group && size > offsetof(struct sockaddr_un, sun_path) && address.sun_path[0] &&
        stat(address.sun_path, &st) == 0)
        l->group = st.st_gid;
    l->socket = fd;
    return 0;
}

void command_listener_close(struct command_listener *l)
{
    struct stat st;
    if (l->socket >= 0) {
        close(l->socket);
        if (l->file[1] && lstat(l->path, &st) == 0 && st.st_dev == l->file[0] &&
            st.st_ino == l->file[1])
            unlink(l->path);
    }
    free(l->path);
    *l = (struct command_listener){.socket = NO_SOCKET};
}
