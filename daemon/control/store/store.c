/* SPDX-License-Identifier: Apache-2.0 */
/* store.c - see store.h. */
#include "daemon/control/store/store.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "daemon/platform/files.h"
#include "proto/control/envelope.h"

#define STATE_FILE     "state.json"
#define PREPARED_FILE  "state.json.new"
#define STATE_MAX_SIZE ((size_t)64 << 20)

int store_open(struct store *s, const char *path, struct udptun_error *err)
{
    *s = (struct store){.dir = -1};
    if (!path)
        return 0;
    int rc = make_folders(path, 0700, err);
    if (rc < 0)
        return rc;
    s->path = strdup(path);
    if (!s->path)
        return error_set(err, UDPTUN_E_NOMEM, NULL, "out of memory");
    s->dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (s->dir < 0)
        rc = error_set_errno(err, UDPTUN_E_SYSTEM, errno, NULL, "%s", path);
    else if (flock(s->dir, LOCK_EX | LOCK_NB) < 0)
        rc = errno == EWOULDBLOCK
                 ? error_set(err, UDPTUN_E_CONFLICT, NULL, "%s: another udptund uses it", path)
                 : error_set_errno(err, UDPTUN_E_SYSTEM, errno, NULL, "%s", path);
    if (rc < 0)
        store_close(s);
    return rc;
}

void store_close(struct store *s)
{
    if (s->dir >= 0)
        close(s->dir);
    free(s->path);
    free(s->text);
    *s = (struct store){.dir = -1};
}

int store_load(struct store *s, config_msg **out, struct udptun_error *err)
{
    *out = NULL;
    if (s->dir < 0)
        return 0;
    char *text = NULL;
    size_t size = 0;
    int rc = read_file(s->dir, STATE_FILE, STATE_MAX_SIZE, &text, &size, err);
    if (rc == UDPTUN_E_NOT_FOUND)
        return 0;
    struct udptun_error why = {0};
    json_t *json = NULL;
    ProtobufCMessage *message = NULL;
    if (rc == 0) {
        json = envelope_parse_json(text, size, &why);
        rc = json
                 ? codec_from_json(&udptun__control__config__descriptor, json, NULL, &message, &why)
                 : why.code;
        json_decref(json);
    } else if (err) {
        why = *err;
    }
    if (rc < 0) {
        free(text);
        return error_set(err, rc, NULL, "%s/" STATE_FILE ": %.160s", s->path, why.message);
    }
    s->text = text;
    *out = (config_msg *)message;
    return 0;
}

bool store_needs(const struct store *s, const char *text)
{
    return s->dir >= 0 && (!s->text || strcmp(s->text, text) != 0);
}

static int failed(const struct store *s, struct udptun_error *err)
{
    return error_set_errno(err, UDPTUN_E_SYSTEM, errno, NULL, "%s: state not written", s->path);
}

int store_prepare(const struct store *s, const char *text, struct udptun_error *err)
{
    int fd = openat(s->dir, PREPARED_FILE, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0)
        return failed(s, err);
    int rc = 0;
    if (write_all(fd, text, strlen(text)) < 0 || fsync(fd) < 0)
        rc = failed(s, err);
    if (close(fd) < 0 && rc == 0)
        rc = failed(s, err);
    if (rc < 0)
        store_discard(s);
    return rc;
}

int store_commit(const struct store *s, struct udptun_error *err)
{
    if (renameat(s->dir, PREPARED_FILE, s->dir, STATE_FILE) < 0) {
        int rc = failed(s, err);
        store_discard(s);
        return rc;
    }
    /* The rename holds without it, but for a power failure. */
    return fsync(s->dir) < 0 ? failed(s, err) : 0;
}

void store_committed(struct store *s, char *text)
{
    free(s->text);
    s->text = text;
}

void store_discard(const struct store *s)
{
    unlinkat(s->dir, PREPARED_FILE, 0);
}
