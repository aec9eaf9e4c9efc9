/* SPDX-License-Identifier: Apache-2.0 */
/* store.c - see store.h; store_find.c reads what is there. */
#include "daemon/control/store/store.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/control/store/journal.h"
#include "daemon/control/store/store_find.h"
#include "daemon/platform/result.h"

#define PREPARED_FILE STORE_FILE ".new"

/* A state up to this size is written whole: that is as cheap as a line of the journal. */
#define SMALL_SIZE ((size_t)32 << 10)

/* `failure`: the system's error number. */
static int store_failed(const struct store *s, int failure, struct udptun_error *err)
{
    return error_set_errno(err, UDPTUN_E_SYSTEM, failure, NULL, "%s: state not written", s->path);
}

static int store_no_memory(struct udptun_error *err)
{
    return error_set(err, UDPTUN_E_NOMEM, NULL, "out of memory");
}

/* ---- the folder ------------------------------------------------------------------------------ */

int store_open(struct store *s, const char *path, struct udptun_error *err)
{
    *s = (struct store){0};
    if (!path)
        return 0;
    int rc = make_folders(path, 0700, err);
    if (rc < 0)
        return rc;
    s->path = strdup(path);
    if (!s->path)
        return store_no_memory(err);
    int failure = folder_open(path, &s->folder);
    if (failure == 0)
        return 0;
    if (io_of(failure) == IO_IN_USE)
        rc = error_set(err, UDPTUN_E_CONFLICT, NULL, "%s: another udptund uses it", path);
    else
        rc = error_set_errno(err, UDPTUN_E_SYSTEM, failure, NULL, "%s", path);
    store_close(s);
    return rc;
}

void store_close(struct store *s)
{
    file_close(s->journal);
    folder_close(s->folder);
    free(s->path);
    *s = (struct store){0};
}

/* ---- the whole ------------------------------------------------------------------------------- */

static int store_write_prepared(struct store *s, const char *text, struct udptun_error *err)
{
    struct file *file;
    int failure = file_open(s->folder, PREPARED_FILE, FILE_REPLACE, &file);
    if (failure)
        return store_failed(s, failure, err);
    failure = file_write(file, 0, text, strlen(text));
    if (failure == 0)
        failure = file_sync(file);
    int late = file_close(file);
    if (failure == 0)
        failure = late;
    if (failure == 0)
        return 0;
    folder_remove(s->folder, PREPARED_FILE);
    return store_failed(s, failure, err);
}

/* The state that the record is about: that of the disk, or none. */
static int begin_state(struct store *s, const json_t *record, struct state *state,
                       struct udptun_error *err)
{
    struct finding finding;
    if (record_is_all(record))
        return state_init(state) < 0 ? store_no_memory(err) : 0;
    if (store_find(s, state, &finding) < 0)
        return store_no_memory(err);
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
        rc = store_no_memory(err);
    if (rc == 0) {
        s->prepared_generation = store_next_generation(s->files.generation);
        text = state_text(&state, s->prepared_generation);
        rc = text ? store_write_prepared(s, text, err) : store_no_memory(err);
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
        folder_link(s->folder, f->damaged, f->aside);
    } else if (f->format > 0) {
        folder_remove(s->folder, old);
        folder_link(s->folder, STORE_FILE, old);
    }
}

static int commit_whole(struct store *s, struct udptun_error *err)
{
    char journal[STORE_NAME_SIZE];
    keep_old(s);
    /* One of that name can only be of an older generation. */
    folder_remove(s->folder, store_journal_name(s->prepared_generation, journal));
    int failure = folder_rename(s->folder, PREPARED_FILE, STORE_FILE);
    if (failure) {
        folder_remove(s->folder, PREPARED_FILE);
        return store_failed(s, failure, err);
    }
    folder_sync(s->folder); /* the rename holds without it, but for a power failure */
    file_close(s->journal);
    s->journal = NULL;
    s->files = (struct store_files){.format = STATE_FORMAT,
                                    .generation = s->prepared_generation,
                                    .base_size = s->prepared_size};
    s->must_write_whole = false;
    return 0;
}

/* ---- a line of the journal ------------------------------------------------------------------- */

static int open_journal(struct store *s)
{
    char name[STORE_NAME_SIZE];
    if (s->journal)
        return 0;
    int failure = file_open(s->folder, store_journal_name(s->files.generation, name), FILE_UPDATE,
                            &s->journal);
    if (failure == 0 && s->files.journal_size == 0)
        folder_sync(s->folder); /* its name has to last as well */
    return failure;
}

/* What is behind the valid part of the journal goes away. A line that is not whole means nothing
 * anyway. */
static void cut_journal(struct store *s)
{
    if (file_cut(s->journal, s->files.journal_size) != 0)
        s->must_write_whole = true;
}

/* `text` behind what is valid. */
static int store_append(struct store *s, const char *text)
{
    size_t end = s->files.journal_size;
    int failure = file_cut(s->journal, end);
    if (failure)
        return failure;
    failure = file_write(s->journal, end, text, strlen(text));
    if (failure == 0)
        failure = file_sync(s->journal);
    if (failure)
        cut_journal(s);
    return failure;
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
        int failure = open_journal(s);
        if (failure == 0)
            failure = store_append(s, text);
        rc = failure ? store_failed(s, failure, err) : 0;
    } else {
        store_no_memory(err);
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
    int failure = file_write(s->journal, s->line_at, &mark, 1);
    if (failure == 0)
        failure = file_sync(s->journal);
    if (failure) {
        cut_journal(s); /* whether the line is valid is not known: it must not stay */
        return store_failed(s, failure, err);
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
        folder_remove(s->folder, PREPARED_FILE);
    if (s->prepared == STORE_RECORD)
        cut_journal(s);
    s->prepared = STORE_NOTHING;
}

int store_load(struct store *s, config_msg **out, state_report report, void *arg,
               struct udptun_error *err)
{
    struct state state;
    struct finding finding;
    *out = NULL;
    if (!s->folder)
        return 0;
    int rc = store_find(s, &state, &finding);
    if (rc == 0)
        rc = state_objects(&state, out, report, arg);
    s->files = finding.files;
    if (rc == 0 && finding.why[0])
        store_replace_damaged(s, &finding, report, arg);
    state_fini(&state);
    return rc < 0 ? store_no_memory(err) : 0;
}
