/* SPDX-License-Identifier: Apache-2.0 */
/* json.h - jansson where memory may run out. */
#ifndef PROTO_CONTROL_JSON_H
#define PROTO_CONTROL_JSON_H

#include <jansson.h>
#include <stddef.h>

/* What jansson's failure to read or make a value was: UDPTUN_E_NOMEM, or UDPTUN_E_INVALID for
 * text that cannot be taken. */
int json_failure(const json_error_t *where);

/* As json_dumps(). NULL: no memory, or `value` is NULL. The caller frees it. */
char *json_text(const json_t *value, size_t flags);

#endif
