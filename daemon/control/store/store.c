/* SPDX-License-Identifier: Apache-2.0 */
/* store.c - see store.h; store_find.c reads what is there. */
#include "daemon/control/store/store.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "daemon/control/store/journal.h"
#include "daemon/control/store/store_find.h"
#include "daemon/platform/files.h"

#define PREPARED_FILE STORE_FILE ".new"

/* A state up to this size is written whole: that is as cheap as a line of the journal. */
#define SMALL_SIZE ((size_t)32 << 10)

static int failed(const struct store *s, struct udptun_error *err)
{
    return error_set_errno(err, UDPTUN_E_SYSTEM, errno, NULL, "%s: state not written", s->path);
}

static int no_memory(struct udptun_error *err)
{
    return error_set(err, UDPTUN_E_NOMEM, NULL, "out of memory");
}

/* ---- the folder ------------------------------------------------------------------------------ */

static void keep_spare(struct store *s)
{
    if (s->spare < 0)
        s->spare = fcntl(s->dir, F_DUPFD_CLOEXEC, 0);
}

int store_open(struct store *s, const char *path, struct udptun_error *err)
{
    *s = (struct store){.dir = -1, .spare = -1, .journal = -1};
    if (!path)
        return 0;
    int rc = make_folders(path, 0700, err);
    if (rc < 0)
        return rc;
    s->path = strdup(path);
    if (!s->path)
        return no_memory(err);
    s->dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (s->dir < 0)
        rc = error_set_errno(err, UDPTUN_E_SYSTEM, errno, NULL, "%s", path);
    else if (flock(s->dir, LOCK_EX | LOCK_NB) < 0)
        rc = errno == EWOULDBLOCK
                 ? error_set(err, UDPTUN_E_CONFLICT, NULL, "%s: another udptund uses it", path)
                 : error_set_errno(err, UDPTUN_E_SYSTEM, errno, NULL, "%s", path);
    if (rc < 0)
        store_close(s);
    else
        keep_spare(s);
    return rc;
}

void store_close(struct store *s)
{
    if (s->journal >= 0)
        close(s->journal);
    if (s->spare >= 0)
        close(s->spare);
    if (s->dir >= 0)
        close(s->dir);
    free(s->path);
    *s = (struct store){.dir = -1, .spare = -1, .journal = -1};
}

int store_open_file(struct store *s, const char *name, int flags)
{
    int fd = openat(s->dir, name, flags | O_CLOEXEC, 0600);
    if (fd < 0 && (errno == EMFILE || errno == ENFILE) && s->spare >= 0) {
        close(s->spare);
        s->spare = -1;
        fd = openat(s->dir, name, flags | O_CLOEXEC, 0600);
    }
    return fd;
}

int store_close_file(struct store *s, int fd)
{
    int rc = close(fd), why = errno;
    keep_spare(s);
    errno = why;
    return rc;
}

/* ---- the whole ------------------------------------------------------------------------------- */

static int write_prepared(struct store *s, const char *text, struct udptun_error *err)
{
    int fd = store_open_file(s, PREPARED_FILE, O_WRONLY | O_CREAT | O_TRUNC);
    if (fd < 0)
        return failed(s, err);
    int rc = 0;
    if (write_all(fd, text, strlen(text)) < 0 || fsync(fd) < 0)
        rc = failed(s, err);
    if (store_close_file(s, fd) < 0 && rc == 0)
        rc = failed(s, err);
    if (rc < 0)
        unlinkat(s->dir, PREPARED_FILE, 0);
    return rc;
}

/* The state that the record is about: that of the disk, or none. */
static int begin_state(struct store *s, const json_t *record, struct state *state,
                       struct udptun_error *err)
{
    struct finding finding;
    if (record_is_all(record))
        return state_init(state) < 0 ? no_memory(err) : 0;
    if (store_find(s, state, &finding) < 0)
        return no_memory(err);
    if (finding.files.generation == s->files.generation &&
        finding.files.journal_size == s->files.journal_size &&
        strcmp(finding.files.damaged, s->files.damaged) == 0)
        return 0;
    return error_set(err, UDPTUN_E_CONFLICT, NULL, "%s: another program has changed %s", s->path,
                     STORE_FILE);
}

static int prepare_whole(struct store *s, json_t *record, struct udptun_error *err)
{
    struct state state;
    char *text = NULL;
    int rc = begin_state(s, record, &state, err);
    if (rc == 0 && state_apply(&state, record) < 0)
        rc = no_memory(err);
    if (rc == 0) {
        s->prepared_generation = store_next_generation(s->files.generation);
        text = state_text(&state, s->prepared_generation);
        rc = text ? write_prepared(s, text, err) : no_memory(err);
    }
    state_fini(&state);
    if (rc == 0) {
        s->prepared_size = strlen(text);
        s->prepared = STORE_WHOLE;
    }
    free(text);
    return rc;
}

/* The file that is about to be replaced stays under another name, if the file system can do that.
 * A file of format 1 has one of its own, so that the version that wrote it can have it back. */
static void keep_old(const struct store *s)
{
    const struct store_files *f = &s->files;
    const char *old = f->format == 1 ? STORE_FILE ".v1" : STORE_FILE ".old";
    if (f->damaged[0]) {
        linkat(s->dir, f->damaged, s->dir, f->aside, 0);
    } else if (f->format > 0) {
        unlinkat(s->dir, old, 0);
        linkat(s->dir, STORE_FILE, s->dir, old, 0);
    }
}

static int commit_whole(struct store *s, struct udptun_error *err)
{
    char journal[STORE_NAME_SIZE];
    keep_old(s);
    /* One of that name can only be of an older generation. */
    unlinkat(s->dir, store_journal_name(s->prepared_generation, journal), 0);
    if (renameat(s->dir, PREPARED_FILE, s->dir, STORE_FILE) < 0) {
        int rc = failed(s, err);
        unlinkat(s->dir, PREPARED_FILE, 0);
        return rc;
    }
    fsync(s->dir); /* the rename holds without it, but for a power failure */
    if (s->journal >= 0)
        close(s->journal);
    s->journal = -1;
    s->files = (struct store_files){.format = STATE_FORMAT,
                                    .generation = s->prepared_generation,
                                    .base_size = s->prepared_size};
    s->must_write_whole = false;
    keep_spare(s);
    return 0;
}

/* ---- a line of the journal ------------------------------------------------------------------- */

static int open_journal(struct store *s)
{
    char name[STORE_NAME_SIZE];
    if (s->journal < 0) {
        s->journal =
            store_open_file(s, store_journal_name(s->files.generation, name), O_RDWR | O_CREAT);
        if (s->journal >= 0 && s->files.journal_size == 0)
            fsync(s->dir); /* its name has to last as well */
    }
    return s->journal;
}

/* `text` behind what is valid. */
static int append(struct store *s, const char *text)
{
    off_t end = (off_t)s->files.journal_size;
    if (ftruncate(s->journal, end) < 0 || lseek(s->journal, end, SEEK_SET) < 0)
        return -1;
    if (write_all(s->journal, text, strlen(text)) == 0 && fsync(s->journal) == 0)
        return 0;
    int why = errno;
    if (ftruncate(s->journal, end) < 0) /* a line that is not whole means nothing anyway */
        s->must_write_whole = true;
    errno = why;
    return -1;
}

static int prepare_record(struct store *s, const json_t *record, struct udptun_error *err)
{
    char *head = s->files.journal_size == 0 ? journal_head(s->files.generation) : strdup("");
    char *line = journal_line(record);
    char *text = head && line ? malloc(strlen(head) + strlen(line) + 1) : NULL;
    int rc = UDPTUN_E_NOMEM;
    if (text) {
        strcpy(text, head);
        strcat(text, line);
        s->line_at = s->files.journal_size + strlen(head);
        s->prepared_size = s->files.journal_size + strlen(text);
        rc = open_journal(s) < 0 || append(s, text) < 0 ? failed(s, err) : 0;
    } else {
        no_memory(err);
    }
    if (rc == 0)
        s->prepared = STORE_RECORD;
    free(head);
    free(line);
    free(text);
    return rc;
}

static int commit_record(struct store *s, struct udptun_error *err)
{
    static const char mark = JOURNAL_VALID;
    if (pwrite(s->journal, &mark, 1, (off_t)s->line_at) != 1 || fsync(s->journal) < 0) {
        int rc = failed(s, err);
        /* Whether the line is valid is not known: it must not stay. */
        if (ftruncate(s->journal, (off_t)s->files.journal_size) < 0)
            s->must_write_whole = true;
        return rc;
    }
    s->files.journal_size = s->prepared_size;
    return 0;
}

/* ---- either ---------------------------------------------------------------------------------- */

static bool is_whole_due(const struct store *s)
{
    return s->must_write_whole || s->files.damaged[0] || s->files.format != STATE_FORMAT ||
           s->files.journal_size > s->files.base_size ||
           s->files.base_size + s->files.journal_size <= SMALL_SIZE;
}

int store_prepare(struct store *s, json_t *record, struct udptun_error *err)
{
    return is_whole_due(s) || record_is_all(record) ? prepare_whole(s, record, err)
                                                    : prepare_record(s, record, err);
}

int store_commit(struct store *s, struct udptun_error *err)
{
    enum store_prepared prepared = s->prepared;
    s->prepared = STORE_NOTHING;
    switch (prepared) {
    case STORE_NOTHING:
        break;
    case STORE_WHOLE:
        return commit_whole(s, err);
    case STORE_RECORD:
        return commit_record(s, err);
    }
    return 0;
}

void store_discard(struct store *s)
{
    if (s->prepared == STORE_WHOLE)
        unlinkat(s->dir, PREPARED_FILE, 0);
    if (s->prepared == STORE_RECORD && ftruncate(s->journal, (off_t)s->files.journal_size) < 0)
        s->must_write_whole = true;
    s->prepared = STORE_NOTHING;
}

int store_load(struct store *s, config_msg **out, state_report report, void *arg,
               struct udptun_error *err)
{
    struct state state;
    struct finding finding;
    *out = NULL;
    if (s->dir < 0)
        return 0;
    int rc = store_find(s, &state, &finding);
    if (rc == 0)
        rc = state_objects(&state, out, report, arg);
    s->files = finding.files;
    if (rc == 0 && finding.why[0])
        store_replace_damaged(s, &finding, report, arg);
    state_fini(&state);
    return rc < 0 ? no_memory(err) : 0;
}
