/* SPDX-License-Identifier: Apache-2.0 */
/* store_find.c - see store_find.h. */
#include "daemon/control/store/store_find.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/control/store/journal.h"

#define MAX_SIZE ((size_t)256 << 20)

const char *store_journal_name(json_int_t generation, char name[STORE_NAME_SIZE])
{
    snprintf(name, STORE_NAME_SIZE, "state.journal.%d", (int)(generation & 1));
    return name;
}

/* A state without a generation gets one that no journal of before has. */
json_int_t store_next_generation(json_int_t generation)
{
    return generation > 0 ? generation + 1 : ((json_int_t)randombytes_random() << 8) + 1;
}

/* The file into `state`. `*size` is its size. */
static int read_state(struct store *s, const char *name, struct state *state, size_t *size,
                      struct udptun_error *err)
{
    char *text = NULL;
    int rc = folder_read(s->folder, name, MAX_SIZE, &text, size, err);
    if (rc == 0)
        rc = state_parse(state, text, *size, err);
    free(text);
    return rc;
}

/* The changes since `state`; `*end` as journal_apply() has it. */
static int read_journal(struct store *s, struct state *state, size_t *end, struct finding *finding)
{
    char name[STORE_NAME_SIZE], *text = NULL;
    size_t size = 0;
    struct udptun_error why = {0};
    *end = 0;
    if (state->generation == 0)
        return 0;
    int rc = folder_read(s->folder, store_journal_name(state->generation, name), MAX_SIZE, &text,
                         &size, &why);
    if (rc == UDPTUN_E_NOT_FOUND)
        return 0;
    if (rc == 0)
        rc = journal_apply(state, text, size, end);
    free(text);
    if (rc < 0 && rc != UDPTUN_E_NOMEM) {
        memcpy(finding->files.damaged, name, sizeof name);
        memcpy(finding->used, "what comes before it", sizeof "what comes before it");
        snprintf(finding->why, sizeof finding->why, "%.160s",
                 why.message[0] ? why.message : "a line of it is damaged");
        rc = 0;
    }
    return rc;
}

/* state.json cannot be used: the latest copy of it that can, and both journals after it. Since the
 * generations take turns, the journal of the copy is there as well. */
static int find_copy(struct store *s, struct state *state, struct finding *finding)
{
    char kept[STORE_NAME_SIZE]; /* what a newer version has kept of ours */
    snprintf(kept, sizeof kept, STORE_FILE ".v%d", STATE_FORMAT);
    const char *const copies[] = {finding->newer ? kept : STORE_FILE ".old", STORE_FILE ".old",
                                  STORE_FILE ".v1"};
    size_t size, end;
    for (size_t i = 0; i < sizeof copies / sizeof *copies; i++) {
        int rc = read_state(s, copies[i], state, &size, NULL);
        if (rc == UDPTUN_E_NOMEM)
            return rc;
        if (rc < 0)
            continue;
        snprintf(finding->used, sizeof finding->used, "%s", copies[i]);
        struct finding journal = {0};
        rc = read_journal(s, state, &end, &journal);
        if (rc < 0 || journal.why[0] || state->generation == 0)
            return rc;
        state->generation++; /* that of the file which cannot be read */
        return read_journal(s, state, &end, &journal);
    }
    return 0;
}

/* A name that is free, for a file to be set aside. */
static void choose_aside(const struct store *s, struct finding *finding)
{
    struct store_files *f = &finding->files;
    char kind[16] = "damaged";
    if (finding->newer)
        snprintf(kind, sizeof kind, "v%d", f->format < 1000 ? (int)f->format : 1000);
    snprintf(f->aside, sizeof f->aside, "%s.%s", f->damaged, kind);
    for (int i = 2; i < 100 && folder_has(s->folder, f->aside); i++)
        snprintf(f->aside, sizeof f->aside, "%s.%s.%d", f->damaged, kind, i);
}

int store_find(struct store *s, struct state *state, struct finding *finding)
{
    struct udptun_error why = {0};
    struct store_files *f = &finding->files;
    *finding = (struct finding){0};
    int rc = state_init(state);
    if (rc == 0)
        rc = read_state(s, STORE_FILE, state, &f->base_size, &why);
    f->format = state->format;
    if (rc == 0) {
        rc = read_journal(s, state, &f->journal_size, finding);
    } else if (rc == UDPTUN_E_NOT_FOUND) {
        rc = 0;
    } else if (rc != UDPTUN_E_NOMEM) {
        finding->newer = rc == UDPTUN_E_UNSUPPORTED;
        strcpy(f->damaged, STORE_FILE);
        snprintf(finding->why, sizeof finding->why, "%.190s", why.message);
        rc = find_copy(s, state, finding);
    }
    f->generation = state->generation;
    if (rc == 0 && finding->why[0])
        choose_aside(s, finding);
    return rc;
}

void store_replace_damaged(struct store *s, const struct finding *finding, state_report report,
                           void *arg)
{
    char what[400];
    struct udptun_error err = {0};
    json_t *nothing = record_new();
    snprintf(what, sizeof what, "%s/%s: %s; %s%s is used", s->path, finding->files.damaged,
             finding->why, finding->used[0] ? "" : "an empty state", finding->used);
    report(arg, what);
    if (nothing && store_prepare(s, nothing, &err) == 0 && store_commit(s, &err) == 0)
        snprintf(what, sizeof what, "%s/%s was set aside as %s", s->path, finding->files.damaged,
                 finding->files.aside);
    else
        snprintf(what, sizeof what, "%s/%s stays where it is until the state can be written: %s",
                 s->path, finding->files.damaged, err.message);
    report(arg, what);
    json_decref(nothing);
}
