/* SPDX-License-Identifier: Apache-2.0 */
/* identities.c - see identities.h. A job lives until its file is as it should be, or until a later
 * one for the same name takes its place. */
#include "daemon/control/store/identities.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/platform/files.h"
#include "daemon/platform/result.h"

/* A tunnel's name has at most 64 characters and none of them is '/'. */
enum { NAME_SIZE = 64 + 1, FILE_NAME_SIZE = 64 + sizeof ".session.new" };

enum progress {
    UNDER_WAY,  /* the worker has it */
    FAILED,     /* to be tried again */
    SUPERSEDED, /* the worker has it, and a later one follows */
};

struct identity_job {
    struct worker_job job;
    struct list node; /* of struct identities */
    struct identities *of;
    enum progress progress;
    char name[NAME_SIZE];
    size_t size; /* 0: remove the file */
    uint8_t identity[UDPTUN_IDENTITY_SIZE];
    int failure; /* the system's error number, of the attempt; 0: it succeeded */
    char why[128];
};

static void file_name(const char *name, const char *ending, char to[FILE_NAME_SIZE])
{
    snprintf(to, FILE_NAME_SIZE, "%.64s.session%s", name, ending);
}

void identities_init(struct identities *i, struct store *store, struct worker *worker,
                     void (*failed)(void *arg, const char *name, const char *why), void *arg)
{
    *i = (struct identities){.store = store, .worker = worker, .failed = failed, .arg = arg};
    list_init(&i->jobs);
}

static void job_free(struct identity_job *j)
{
    list_remove(&j->node);
    sodium_memzero(j, sizeof *j);
    free(j);
}

void identities_fini(struct identities *i)
{
    LIST_FOREACH_SAFE (node, &i->jobs)
        job_free(list_entry(node, struct identity_job, node));
}

size_t identity_load(struct store *store, const char *name, uint8_t to[UDPTUN_IDENTITY_SIZE])
{
    char file[FILE_NAME_SIZE], *identity;
    size_t size;
    if (!store->folder)
        return 0;
    file_name(name, "", file);
    /* One that is longer than any of ours is none. */
    if (folder_read(store->folder, file, UDPTUN_IDENTITY_SIZE, &identity, &size, NULL) < 0)
        return 0;
    memcpy(to, identity, size);
    sodium_memzero(identity, size);
    free(identity);
    return size;
}

static int identities_write_prepared(struct folder *folder, const char *name,
                                     const struct identity_job *j)
{
    struct file *file;
    int failure = file_open(folder, name, FILE_REPLACE, &file);
    if (failure)
        return failure;
    failure = file_write(file, 0, j->identity, j->size);
    if (failure == 0)
        failure = file_sync(file);
    int late = file_close(file);
    return failure ? failure : late;
}

/* 0, or the system's error number. */
static int write_identity(struct store *store, const struct identity_job *j)
{
    char file[FILE_NAME_SIZE], prepared[FILE_NAME_SIZE];
    struct folder *folder = store->folder;
    file_name(j->name, "", file);
    file_name(j->name, ".new", prepared);
    if (j->size == 0) {
        int failure = folder_remove(folder, file);
        return io_of(failure) == IO_NOT_FOUND ? 0 : failure;
    }
    int failure = identities_write_prepared(folder, prepared, j);
    if (failure == 0)
        failure = folder_rename(folder, prepared, file);
    if (failure)
        folder_remove(folder, prepared);
    return failure;
}

static void identities_run(struct worker_job *job)
{
    struct identity_job *j = list_entry(job, struct identity_job, job);
    j->failure = write_identity(j->of->store, j);
}

static void done(struct worker_job *job)
{
    struct identity_job *j = list_entry(job, struct identity_job, job);
    bool new = j->why[0] == '\0';
    if (j->failure == 0 || j->progress == SUPERSEDED) {
        job_free(j);
        return;
    }
    j->progress = FAILED;
    char text[IO_TEXT_SIZE];
    snprintf(j->why, sizeof j->why, "session not %s: %s", j->size > 0 ? "written" : "removed",
             io_text(j->failure, text));
    if (new)
        j->of->failed(j->of->arg, j->name, j->why);
}

static void identities_start(struct identity_job *j)
{
    j->progress = UNDER_WAY;
    j->job = (struct worker_job){.run = identities_run, .done = done};
    if (worker_submit(j->of->worker, &j->job) < 0) {
        j->failure = io_error(IO_AGAIN);
        done(&j->job);
    }
}

/* Of each name only the latest counts. */
static void supersede(struct identities *i, const char *name)
{
    LIST_FOREACH_SAFE (node, &i->jobs) {
        struct identity_job *j = list_entry(node, struct identity_job, node);
        if (strcmp(j->name, name) != 0)
            continue;
        if (j->progress == FAILED)
            job_free(j);
        else
            j->progress = SUPERSEDED;
    }
}

static void identities_submit(struct identities *i, const char *name, const uint8_t *identity,
                              size_t size)
{
    struct identity_job *j = !i->store->folder ? NULL : (struct identity_job *)calloc(1, sizeof *j);
    if (!j)
        return;
    supersede(i, name);
    j->of = i;
    j->size = size;
    snprintf(j->name, sizeof j->name, "%.64s", name);
    if (size > 0)
        memcpy(j->identity, identity, size);
    list_append(&i->jobs, &j->node);
    identities_start(j);
}

void identity_save(struct identities *i, const char *name, const uint8_t *identity, size_t size)
{
    identities_submit(i, name, identity, size);
}

void identity_forget(struct identities *i, const char *name)
{
    identities_submit(i, name, NULL, 0);
}

void identities_retry(struct identities *i)
{
    LIST_FOREACH_SAFE (node, &i->jobs) {
        struct identity_job *j = list_entry(node, struct identity_job, node);
        if (j->progress == FAILED)
            identities_start(j);
    }
}

const char *identities_reason(const struct identities *i, const char *name)
{
    LIST_FOREACH (node, &i->jobs) {
        const struct identity_job *j = list_entry(node, struct identity_job, node);
        /* One that is tried again has failed until it succeeds. */
        if (j->why[0] && j->progress != SUPERSEDED && (!name || strcmp(name, j->name) == 0))
            return j->why;
    }
    return NULL;
}
