/* SPDX-License-Identifier: Apache-2.0 */
/* suggest.h - the word that a mistyped one probably stands for. */
#ifndef CONTROLLER_SUGGEST_H
#define CONTROLLER_SUGGEST_H

#include <stdbool.h>
#include <stddef.h>

struct suggestion {
    const char *word; /* as it was typed */
    const char *best; /* the nearest candidate, borrowed; NULL: no candidate is near */
    size_t edits;     /* a candidate needs fewer edits than this */
};

/* Begin with the mistyped `word`, which must outlive the suggestion. */
void suggest_init(struct suggestion *suggestion, const char *word);

/* Weigh one candidate, which must outlive the suggestion. */
void suggest_from(struct suggestion *suggestion, const char *candidate);

#endif
