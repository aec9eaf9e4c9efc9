/* SPDX-License-Identifier: Apache-2.0 */
/*
 * suggest.c - the word that a mistyped one probably stands for. It is the candidate with the least
 * number of edits (a letter added, left out, replaced, or two neighbours swapped), if that is few
 * enough for the word's length.
 */
#include "controller/cli/suggest.h"

#include <string.h>

#define WORD_MAX 48

static size_t suggest_least(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* The optimal string alignment distance of two words of at most WORD_MAX characters. */
static size_t edits_between(const char *a, size_t a_len, const char *b, size_t b_len)
{
    size_t rows[3][WORD_MAX + 1];
    size_t *before = rows[0], *last = rows[1], *row = rows[2];
    for (size_t j = 0; j <= b_len; j++)
        last[j] = j;
    for (size_t i = 1; i <= a_len; i++) {
        row[0] = i;
        for (size_t j = 1; j <= b_len; j++) {
            size_t replaced = last[j - 1] + (a[i - 1] != b[j - 1]);
            row[j] = suggest_least(replaced, suggest_least(last[j], row[j - 1]) + 1);
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                row[j] = suggest_least(row[j], before[j - 2] + 1);
        }
        size_t *spare = before;
        before = last;
        last = row;
        row = spare;
    }
    return last[b_len];
}

void suggest_init(struct suggestion *suggestion, const char *word)
{
    size_t len = strlen(word);
    /* One edit in a short word, two from five characters on, three from nine. */
    *suggestion = (struct suggestion){
        .word = word, .edits = len > WORD_MAX || len < 2 ? 0 : 2u + (len > 4) + (len > 8)};
}

void suggest_from(struct suggestion *suggestion, const char *candidate)
{
    size_t word_len = strlen(suggestion->word), len = strlen(candidate);
    if (suggestion->edits == 0 || len > WORD_MAX)
        return;
    /* "stat" for "status": an abbreviation is nearer than its missing letters say. */
    bool abbreviated = word_len >= 3 && strncmp(suggestion->word, candidate, word_len) == 0;
    size_t edits = abbreviated ? 1 : edits_between(suggestion->word, word_len, candidate, len);
    if (edits >= suggestion->edits)
        return;
    suggestion->edits = edits;
    suggestion->best = candidate;
}
