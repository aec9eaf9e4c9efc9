/* SPDX-License-Identifier: Apache-2.0 */
/* identities.c - see identities.h. */
#include "daemon/control/store/identities.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/platform/files.h"

/* A tunnel's name has at most 64 characters and none of them is '/'. */
enum { FILE_NAME_SIZE = 64 + sizeof ".session.new" };

struct identity_job {
    struct worker_job job;
    int dir; /* the store's, which lives longer than the worker */
    char file[FILE_NAME_SIZE];
    char prepared[FILE_NAME_SIZE];
    size_t size; /* 0: remove the file */
    uint8_t identity[UDPTUN_IDENTITY_SIZE];
};

static void file_name(const char *name, char to[FILE_NAME_SIZE])
{
    snprintf(to, FILE_NAME_SIZE, "%.64s.session", name);
}

size_t identity_load(const struct store *store, const char *name, uint8_t to[UDPTUN_IDENTITY_SIZE])
{
    char file[FILE_NAME_SIZE];
    char *text = NULL;
    size_t size = 0;
    if (store->dir < 0)
        return 0;
    file_name(name, file);
    if (read_file(store->dir, file, UDPTUN_IDENTITY_SIZE, &text, &size, NULL) < 0)
        return 0;
    memcpy(to, text, size);
    explicit_bzero(text, size);
    free(text);
    return size;
}

static void run(struct worker_job *job)
{
    struct identity_job *j = (struct identity_job *)(void *)job;
    if (j->size == 0) {
        unlinkat(j->dir, j->file, 0);
        return;
    }
    int fd = openat(j->dir, j->prepared, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0)
        return;
    int rc = write_all(fd, j->identity, j->size) < 0 || fsync(fd) < 0 ? -1 : 0;
    if (close(fd) < 0 || rc < 0 || renameat(j->dir, j->prepared, j->dir, j->file) < 0)
        unlinkat(j->dir, j->prepared, 0);
}

static void done(struct worker_job *job)
{
    struct identity_job *j = (struct identity_job *)(void *)job;
    explicit_bzero(j->identity, sizeof j->identity);
    free(j);
}

static void submit(const struct store *store, struct worker *worker, const char *name,
                   const uint8_t *identity, size_t size)
{
    struct identity_job *j = store->dir < 0 ? NULL : (struct identity_job *)calloc(1, sizeof *j);
    if (!j)
        return;
    j->job.run = run;
    j->job.done = done;
    j->dir = store->dir;
    j->size = size;
    file_name(name, j->file);
    snprintf(j->prepared, sizeof j->prepared, "%.64s.session.new", name);
    if (size > 0)
        memcpy(j->identity, identity, size);
    if (worker_submit(worker, &j->job) < 0)
        done(&j->job);
}

void identity_save(const struct store *store, struct worker *worker, const char *name,
                   const uint8_t *identity, size_t size)
{
    submit(store, worker, name, identity, size);
}

void identity_forget(const struct store *store, struct worker *worker, const char *name)
{
    submit(store, worker, name, NULL, 0);
}
