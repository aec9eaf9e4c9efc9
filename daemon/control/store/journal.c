/* SPDX-License-Identifier: Apache-2.0 */
/* journal.c - see journal.h. */
#include "daemon/control/store/journal.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/control/envelope.h"
#include "proto/control/json.h"

#define SUM_SIZE 16                /* bytes of BLAKE2b */
#define SUM_LEN  (2 * SUM_SIZE)    /* in hexadecimal */
#define TEXT_AT  (2 + SUM_LEN + 1) /* of a line: "+ SUM TEXT\n" */

static void sum_of(const char *text, size_t size, char sum[SUM_LEN + 1])
{
    uint8_t bytes[SUM_SIZE];
    crypto_generichash(bytes, sizeof bytes, (const uint8_t *)text, size, NULL, 0);
    sodium_bin2hex(sum, SUM_LEN + 1, bytes, sizeof bytes);
}

char *journal_head(json_int_t generation)
{
    char line[64];
    snprintf(line, sizeof line, "udptund journal of generation %lld\n", (long long)generation);
    return strdup(line);
}

char *journal_line(const json_t *record)
{
    char *text = json_text(record, JSON_COMPACT), sum[SUM_LEN + 1];
    size_t len = text ? strlen(text) : 0;
    char *line = text ? malloc(TEXT_AT + len + 2) : NULL;
    if (line) {
        sum_of(text, len, sum);
        snprintf(line, TEXT_AT + len + 2, "- %s %s\n", sum, text);
    }
    free(text);
    return line;
}

/* The line is whole: mark, sum, text and newline. */
static bool is_whole(const char *line, size_t size)
{
    char sum[SUM_LEN + 1];
    if (size < TEXT_AT + 1 || line[size - 1] != '\n' || (line[0] != '+' && line[0] != '-'))
        return false;
    sum_of(line + TEXT_AT, size - TEXT_AT - 1, sum);
    return memcmp(line + 2, sum, SUM_LEN) == 0;
}

static int apply_line(struct state *s, const char *line, size_t size)
{
    if (!is_whole(line, size))
        return UDPTUN_E_BAD_REQUEST;
    if (line[0] != JOURNAL_VALID)
        return 0;
    json_t *record = envelope_parse_json(line + TEXT_AT, size - TEXT_AT - 1, NULL);
    int rc = record ? state_apply(s, record) : UDPTUN_E_BAD_REQUEST;
    json_decref(record);
    return rc;
}

int journal_apply(struct state *s, const char *text, size_t size, size_t *end)
{
    char *head = journal_head(s->generation);
    size_t at = head ? strlen(head) : 0;
    int rc = head ? 0 : UDPTUN_E_NOMEM;
    *end = 0;
    if (head && (size < at || memcmp(text, head, at) != 0))
        at = size; /* of another generation */
    else if (head)
        *end = at;
    free(head);
    while (rc == 0 && at < size) {
        const char *newline = memchr(text + at, '\n', size - at);
        size_t next = newline ? (size_t)(newline - text) + 1 : size;
        rc = apply_line(s, text + at, next - at);
        /* The process ended in the middle of it; a valid one had been synced before. */
        if (rc == UDPTUN_E_BAD_REQUEST && next == size && text[at] != JOURNAL_VALID)
            return 0;
        at = next;
        if (rc == 0)
            *end = at;
    }
    return rc;
}
