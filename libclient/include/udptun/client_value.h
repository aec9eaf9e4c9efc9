/* SPDX-License-Identifier: Apache-2.0 */
/*
 * client_value.h - what the daemon says and is told, for a program without a JSON library.
 *
 *     udptun_client_value *event = udptun_client_value_parse(json, &err);
 *     if (strcmp(udptun_client_value_text(event, "event"), "tunnel.state") == 0)
 *         puts(udptun_client_value_text(event, "data.state"));
 *     udptun_client_value_free(event);
 *
 * A value is an object, a list, a text, a number, a boolean or null. A *path* names one inside
 * another: members by their names, items of a list by their numbers from 0, with dots between:
 * "udpTunnels.0.lastError". The empty path is the value itself. What is absent, of another kind, or
 * asked of NULL reads as "", 0, false and an empty list, so that no reading can fail.
 *
 * docs/command-socket.md has the members of each reply, event and object.
 *
 * Threads. A value belongs to whoever has it; two threads do not use the same one at a time.
 * Ownership. Texts that are passed in are copied. Texts that are given out live as long as the
 * value, and no longer than it is unchanged.
 */
#ifndef UDPTUN_CLIENT_VALUE_H
#define UDPTUN_CLIENT_VALUE_H

#include <udptun/client.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct udptun_client_value udptun_client_value;

/* ---- reading -----------------------------------------------------------------------------------
 */

/* Read JSON text: a reply, an event, what a function of <udptun/client.h> gave out. The caller
 * frees the value. NULL and `err` (may be NULL): UDPTUN_E_INVALID, UDPTUN_E_NOMEM. */
UDPTUN_CLIENT_API udptun_client_value *udptun_client_value_parse(const char *json,
                                                                 struct udptun_error *err);

/* NULL is ignored. */
UDPTUN_CLIENT_API void udptun_client_value_free(udptun_client_value *value);

/* Whether there is anything at `path`, null included. */
UDPTUN_CLIENT_API bool udptun_client_value_has(const udptun_client_value *value, const char *path);

UDPTUN_CLIENT_API const char *udptun_client_value_text(const udptun_client_value *value,
                                                       const char *path);

/* A number with a fraction is cut. */
UDPTUN_CLIENT_API int64_t udptun_client_value_integer(const udptun_client_value *value,
                                                      const char *path);

UDPTUN_CLIENT_API double udptun_client_value_number(const udptun_client_value *value,
                                                    const char *path);

UDPTUN_CLIENT_API bool udptun_client_value_boolean(const udptun_client_value *value,
                                                   const char *path);

/* The items of a list, or the members of an object. */
UDPTUN_CLIENT_API size_t udptun_client_value_count(const udptun_client_value *value,
                                                   const char *path);

/* The name of member number `index` of an object, NULL behind the last. */
UDPTUN_CLIENT_API const char *udptun_client_value_name(const udptun_client_value *value,
                                                       const char *path, size_t index);

/* ---- making ------------------------------------------------------------------------------------
 */

/* An object without members, such as a tunnel to be configured. NULL: out of memory. */
UDPTUN_CLIENT_API udptun_client_value *udptun_client_value_new(void);

/* Set a member of the object, in the place of what it was. 0, UDPTUN_E_INVALID (no object, no name,
 * no UTF-8 text, a number that is none), UDPTUN_E_NOMEM; the value is unchanged then. */
UDPTUN_CLIENT_API int udptun_client_value_set_text(udptun_client_value *value, const char *name,
                                                   const char *text);
UDPTUN_CLIENT_API int udptun_client_value_set_integer(udptun_client_value *value, const char *name,
                                                      int64_t number);
UDPTUN_CLIENT_API int udptun_client_value_set_number(udptun_client_value *value, const char *name,
                                                     double number);
UDPTUN_CLIENT_API int udptun_client_value_set_boolean(udptun_client_value *value, const char *name,
                                                      bool boolean);

/* Add a text to the list that the member is, which is made when it is absent. */
UDPTUN_CLIENT_API int udptun_client_value_add_text(udptun_client_value *value, const char *name,
                                                   const char *text);

/* Add an object to the list that the member is ("udpTunnels" of a config); `item` stays the
 * caller's, and what is set in it afterwards is not in the list. */
UDPTUN_CLIENT_API int udptun_client_value_add_object(udptun_client_value *value, const char *name,
                                                     const udptun_client_value *item);

/* As JSON text, free with udptun_client_free_text(). NULL: out of memory, or `value` is NULL. */
UDPTUN_CLIENT_API char *udptun_client_value_json(const udptun_client_value *value);

#ifdef __cplusplus
}
#endif

#endif
