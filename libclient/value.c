/* SPDX-License-Identifier: Apache-2.0 */
/* value.c - see <udptun/client_value.h>: a thin layer over jansson, whose handle is the value. */
#include <udptun/client_value.h>

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "proto/control/json.h"
#include "proto/error.h"

enum { NAME_SIZE = 128 }; /* of a member on a path; the daemon's are shorter */

/* A udptun_client_value is a json_t under another name. */
static json_t *json_of(const udptun_client_value *value)
{
    return (json_t *)(uintptr_t)(const void *)value;
}

static udptun_client_value *value_of(json_t *json)
{
    return (udptun_client_value *)(void *)json;
}

udptun_client_value *udptun_client_value_parse(const char *json, struct udptun_error *err)
{
    json_error_t where;
    json_t *root = json ? json_loads(json, JSON_DECODE_ANY | JSON_REJECT_DUPLICATES, &where) : NULL;
    if (!root && json && json_failure(&where) == UDPTUN_E_NOMEM)
        error_set(err, UDPTUN_E_NOMEM, NULL, "out of memory");
    else if (!root)
        error_set(err, UDPTUN_E_INVALID, "json", "json: %s", json ? where.text : "missing");
    return value_of(root);
}

void udptun_client_value_free(udptun_client_value *value)
{
    json_decref(json_of(value));
}

/* One step of a path: a member, or an item by its number. */
static json_t *step(const json_t *from, const char *name, size_t size)
{
    char part[NAME_SIZE], *end;
    if (size == 0 || size >= sizeof part)
        return NULL;
    memcpy(part, name, size);
    part[size] = '\0';
    if (json_is_object(from))
        return json_object_get(from, part);
    unsigned long index = strtoul(part, &end, 10);
    bool is_number = part[0] >= '0' && part[0] <= '9' && *end == '\0';
    return is_number ? json_array_get(from, index) : NULL;
}

static json_t *at(const udptun_client_value *value, const char *path)
{
    json_t *json = json_of(value);
    while (json && path && *path) {
        size_t size = strcspn(path, ".");
        json = step(json, path, size);
        path += size + (path[size] == '.');
    }
    return json;
}

bool udptun_client_value_has(const udptun_client_value *value, const char *path)
{
    return at(value, path) != NULL;
}

const char *udptun_client_value_text(const udptun_client_value *value, const char *path)
{
    const char *text = json_string_value(at(value, path));
    return text ? text : "";
}

int64_t udptun_client_value_integer(const udptun_client_value *value, const char *path)
{
    const json_t *json = at(value, path);
    if (json_is_integer(json))
        return json_integer_value(json);
    double number = json_real_value(json);
    return number > -9e18 && number < 9e18 ? (int64_t)number : 0;
}

double udptun_client_value_number(const udptun_client_value *value, const char *path)
{
    return json_number_value(at(value, path));
}

bool udptun_client_value_boolean(const udptun_client_value *value, const char *path)
{
    return json_is_true(at(value, path));
}

size_t udptun_client_value_count(const udptun_client_value *value, const char *path)
{
    const json_t *json = at(value, path);
    return json_is_object(json) ? json_object_size(json) : json_array_size(json);
}

const char *udptun_client_value_name(const udptun_client_value *value, const char *path,
                                     size_t index)
{
    void *member = json_object_iter(at(value, path));
    for (; member && index > 0; index--)
        member = json_object_iter_next(at(value, path), member);
    return member ? json_object_iter_key(member) : NULL;
}

udptun_client_value *udptun_client_value_new(void)
{
    return value_of(json_object());
}

/* Takes `item` over. */
static int value_set(udptun_client_value *value, const char *name, json_t *item)
{
    bool wrong = !json_is_object(json_of(value)) || !name || !name[0];
    if (!wrong && item && json_object_set(json_of(value), name, item) == 0) {
        json_decref(item);
        return UDPTUN_OK;
    }
    int code = wrong || !item ? UDPTUN_E_INVALID : UDPTUN_E_NOMEM;
    json_decref(item);
    return code;
}

int udptun_client_value_set_text(udptun_client_value *value, const char *name, const char *text)
{
    return value_set(value, name, json_string(text));
}

int udptun_client_value_set_integer(udptun_client_value *value, const char *name, int64_t number)
{
    return value_set(value, name, json_integer(number));
}

int udptun_client_value_set_number(udptun_client_value *value, const char *name, double number)
{
    return value_set(value, name, json_real(number));
}

int udptun_client_value_set_boolean(udptun_client_value *value, const char *name, bool boolean)
{
    return value_set(value, name, json_boolean(boolean));
}

/* Add `item`, which is taken over, to the list `name`. */
static int value_add(udptun_client_value *value, const char *name, json_t *item)
{
    json_t *list = name ? json_object_get(json_of(value), name) : NULL;
    bool is_new = !list;
    if (is_new)
        list = json_array();
    if (!json_is_object(json_of(value)) || !name || !name[0] || !item || !json_is_array(list)) {
        json_decref(item);
        if (is_new)
            json_decref(list);
        return UDPTUN_E_INVALID;
    }
    int code = json_array_append_new(list, item) == 0 ? UDPTUN_OK : UDPTUN_E_NOMEM;
    if (is_new)
        return code == UDPTUN_OK ? value_set(value, name, list) : (json_decref(list), code);
    return code;
}

int udptun_client_value_add_text(udptun_client_value *value, const char *name, const char *text)
{
    return value_add(value, name, json_string(text));
}

int udptun_client_value_add_object(udptun_client_value *value, const char *name,
                                   const udptun_client_value *item)
{
    return value_add(value, name,
                     json_is_object(json_of(item)) ? json_deep_copy(json_of(item)) : NULL);
}

char *udptun_client_value_json(const udptun_client_value *value)
{
    return json_text(json_of(value), JSON_COMPACT | JSON_ENCODE_ANY | JSON_REAL_PRECISION(15));
}
