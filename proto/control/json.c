/* SPDX-License-Identifier: Apache-2.0 */
/* json.c - see json.h. */
#include "proto/control/json.h"

#include <stdlib.h>

#include <udptun/error.h>

/* Out of memory jansson says so only in some places; in most it leaves the error as it was
 * before, without a text. */
int json_failure(const json_error_t *where)
{
    return where->text[0] && json_error_code(where) != json_error_out_of_memory ? UDPTUN_E_INVALID
                                                                                : UDPTUN_E_NOMEM;
}

/* json_dumps() of jansson 2.14 leaves out bytes of a key when its buffer cannot grow, and calls
 * that a success; measured first, nothing has to grow. */
char *json_text(const json_t *value, size_t flags)
{
    size_t size = json_dumpb(value, NULL, 0, flags);
    char *text = size > 0 ? malloc(size + 1) : NULL;
    if (!text)
        return NULL;
    if (json_dumpb(value, text, size, flags) != size) {
        free(text);
        return NULL;
    }
    text[size] = '\0';
    return text;
}
