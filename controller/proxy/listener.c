/* SPDX-License-Identifier: Apache-2.0 */
/* listener.c - see listener.h. Of two that start at once in one network namespace only one gets
 * here: the other found the lock taken (routing.h). */
#include "controller/proxy/listener.h"

#include <errno.h>
#include <libgen.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { BACKLOG = 64 };

static int failed(const char *path, struct udptun_error *err)
{
    int code = errno == EACCES || errno == EPERM ? UDPTUN_E_PERMISSION : UDPTUN_E_SYSTEM;
    return error_set_errno(err, code, errno, NULL, "%s", path);
}

static int clear_the_place(const struct sockaddr_un *address, struct udptun_error *err)
{
    const char *path = address->sun_path;
    struct stat st;
    if (lstat(path, &st) < 0)
        return UDPTUN_OK;
    if (!S_ISSOCK(st.st_mode))
        return error_set(err, UDPTUN_E_CONFLICT, NULL, "%s: exists and is no socket", path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return failed(path, err);
    /* EAGAIN: it is served, and busy. */
    int rc = connect(fd, (const struct sockaddr *)address, sizeof *address);
    bool is_served = rc == 0 || errno == EAGAIN;
    close(fd);
    if (is_served)
        return error_set(err, UDPTUN_E_CONFLICT, NULL, "%s: is served by another process", path);
    return unlink(path) < 0 ? failed(path, err) : UDPTUN_OK;
}

static int bind_there(struct proxy_listener *l, const struct sockaddr_un *address, uid_t owner,
                      struct udptun_error *err)
{
    struct stat st;
    l->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (l->fd < 0)
        return failed(l->path, err);
    /* Its mode from the beginning: chmod() by name might meet what the owner put there since.
     * Nobody connects before listen(). */
    mode_t before = umask(0117);
    int rc = bind(l->fd, (const struct sockaddr *)address, sizeof *address);
    int cause = errno;
    umask(before);
    errno = cause;
    if (rc < 0 || lstat(l->path, &st) < 0)
        return failed(l->path, err);
    l->device = st.st_dev;
    l->inode = st.st_ino;
    if ((owner != (uid_t)-1 && lchown(l->path, owner, (gid_t)-1) < 0) || listen(l->fd, BACKLOG) < 0)
        return failed(l->path, err);
    return UDPTUN_OK;
}

int proxy_listener_open(struct proxy_listener *l, const char *path, uid_t owner,
                        struct udptun_error *err)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    char copy[sizeof address.sun_path];
    *l = (struct proxy_listener){.fd = -1, .path = path};
    if (!*path || strlen(path) >= sizeof address.sun_path)
        return error_set(err, UDPTUN_E_SYSTEM, NULL, "%s: a socket's path has 1 to %zu bytes", path,
                         sizeof address.sun_path - 1);
    strcpy(address.sun_path, path);
    strcpy(copy, path);
    (void)mkdir(dirname(copy), 0755); /* where it is there, or cannot be had, bind() tells */
    int rc = clear_the_place(&address, err);
    if (rc == 0)
        rc = bind_there(l, &address, owner, err);
    if (rc < 0)
        proxy_listener_close(l);
    return rc;
}

void proxy_listener_close(struct proxy_listener *l)
{
    struct stat st;
    if (l->fd >= 0)
        close(l->fd);
    if (l->inode && lstat(l->path, &st) == 0 && st.st_dev == l->device && st.st_ino == l->inode)
        unlink(l->path);
    *l = (struct proxy_listener){.fd = -1};
}
