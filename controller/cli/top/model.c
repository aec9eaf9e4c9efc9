/* SPDX-License-Identifier: Apache-2.0 */
/* model.c - see model.h. */
#include "controller/cli/top/prompt.h"

#include <stdlib.h>
#include <string.h>

void model_init(struct top_model *model)
{
    *model = (struct top_model){.view = TOP_TUNNELS, .page = 1};
    for (enum top_kind kind = TOP_TUNNELS; kind < TOP_KINDS; kind++)
        rows_init(&model->lists[kind], kind);
}

void model_fini(struct top_model *model)
{
    for (enum top_kind kind = TOP_TUNNELS; kind < TOP_KINDS; kind++)
        rows_fini(&model->lists[kind]);
    json_decref(model->status);
    wish_fini(&model->asked);
    wish_fini(&model->wish);
    free(model->name);
}

struct top_list *model_list(struct top_model *model)
{
    return &model->lists[model->view];
}

const struct top_row *model_tunnel(const struct top_model *model)
{
    const struct top_list *tunnels = &model->lists[TOP_TUNNELS];
    for (size_t i = 0; model->name && i < tunnels->row_count; i++)
        if (strcmp(tunnels->rows[i].key, model->name) == 0)
            return &tunnels->rows[i];
    return NULL;
}

enum top_kind model_wanted(const struct top_model *model)
{
    return model->is_listed ? model->view : TOP_TUNNELS;
}

void model_totals(const struct top_model *model, double *tx_bytes_s, double *rx_bytes_s)
{
    const struct top_list *tunnels = &model->lists[TOP_TUNNELS];
    *tx_bytes_s = *rx_bytes_s = 0;
    for (size_t i = 0; i < tunnels->row_count; i++) {
        const struct top_row *row = &tunnels->rows[i];
        if (!json_object_get(row->object, "role"))
            continue;
        *tx_bytes_s += row->tx_bytes_s;
        *rx_bytes_s += row->rx_bytes_s;
    }
}

/* ---- into a tunnel and out ---------------------------------------------------------------------
 */

/* tun2socks instances have neither flows nor sessions to list. */
static void settle_listed(struct top_model *model)
{
    const struct top_row *row = model_tunnel(model);
    model->is_listed = row && json_object_get(row->object, "role");
}

static void forget_lists(struct top_model *model)
{
    rows_clear(&model->lists[TOP_FLOWS]);
    rows_clear(&model->lists[TOP_SESSIONS]);
    model->refusal[0] = '\0';
    model->more = false;
}

static void model_leave(struct top_model *model)
{
    free(model->name);
    model->name = NULL;
    model->view = TOP_TUNNELS;
    model->is_listed = false;
    forget_lists(model);
}

void model_enter(struct top_model *model, const char *name)
{
    char *copy = strdup(name);
    if (!copy)
        return;
    model_leave(model);
    model->name = copy;
    model->view = TOP_FLOWS;
    settle_listed(model);
}

static void look_at(struct top_model *model, enum top_kind view)
{
    const struct top_row *row = rows_selected(&model->lists[TOP_TUNNELS]);
    if (!model->name && row)
        model_enter(model, row->key);
    if (model->name && model->view != view) {
        model->view = view;
        model->refusal[0] = '\0';
    }
}

/* ---- what the daemon says ----------------------------------------------------------------------
 */

void model_connected(struct top_model *model)
{
    model->connected = true;
}

void model_disconnected(struct top_model *model, const char *socket)
{
    model->connected = false;
    snprintf(model->socket, sizeof model->socket, "%s", socket);
}

void model_note(struct top_model *model, const char *text)
{
    snprintf(model->note, sizeof model->note, "%s", text);
}

static size_t model_append(json_t **into, size_t at, const json_t *from)
{
    size_t i;
    json_t *object;
    json_array_foreach(from, i, object)
    {
        into[at++] = object;
    }
    return at;
}

void model_status(struct top_model *model, json_t *status, int64_t now_ms)
{
    if (model->paused && model->status)
        return;
    const json_t *tunnels = json_object_get(status, "udpTunnels");
    const json_t *instances = json_object_get(status, "tun2socks");
    size_t count = json_array_size(tunnels) + json_array_size(instances);
    json_t **objects = calloc(count + 1, sizeof(json_t *));
    if (!objects)
        return;
    model_append(objects, model_append(objects, 0, tunnels), instances);
    bool was_there = model_tunnel(model) != NULL;
    if (rows_update(&model->lists[TOP_TUNNELS], objects, count, now_ms) == 0) {
        json_decref(model->status);
        model->status = json_incref(status);
    }
    free(objects);
    settle_listed(model);
    if (was_there && !model_tunnel(model)) {
        snprintf(model->note, sizeof model->note, "%.64s was removed", model->name);
        model_leave(model);
    }
}

static bool is_looked_at(const struct top_model *model, enum top_kind kind, const char *name)
{
    return model->view == kind && model->name && strcmp(model->name, name) == 0;
}

void model_objects(struct top_model *model, enum top_kind kind, const char *name,
                   const json_t *objects, bool more, int64_t now_ms)
{
    struct top_list *list = &model->lists[kind];
    if (!is_looked_at(model, kind, name) || (model->paused && list->at_ms >= 0))
        return;
    size_t count = json_array_size(objects);
    json_t **array = calloc(count + 1, sizeof(json_t *));
    if (!array)
        return;
    model_append(array, 0, objects);
    if (rows_update(list, array, count, now_ms) == 0) {
        model->more = more;
        model->refusal[0] = '\0';
    }
    free(array);
}

void model_refused(struct top_model *model, enum top_kind kind, const char *name, const char *why)
{
    if (!is_looked_at(model, kind, name))
        return;
    rows_clear(&model->lists[kind]);
    snprintf(model->refusal, sizeof model->refusal, "%s", why);
}

/* ---- what the user does ------------------------------------------------------------------------
 */

/* Scroll the help; any other key ends it. */
static void help_key(struct top_model *model, enum top_key key, int64_t page)
{
    int64_t step = key == TOP_KEY_UP          ? -1
                   : key == TOP_KEY_DOWN      ? 1
                   : key == TOP_KEY_PAGE_UP   ? -page
                   : key == TOP_KEY_PAGE_DOWN ? page
                                              : 0;
    model->help_first = model->help_first + step > 0 ? model->help_first + step : 0;
    model->helping = step != 0;
}

void model_key(struct top_model *model, enum top_key key, int character)
{
    struct top_list *list = model_list(model);
    int64_t page = model->page > 1 ? (int64_t)model->page : 1;
    if (key == TOP_KEY_NONE)
        return;
    model->note[0] = '\0';
    if (prompt_key(model, key, character))
        return;
    if (model->helping && key != TOP_KEY_QUIT) {
        help_key(model, key, page);
        return;
    }
    switch (key) {
    case TOP_KEY_NONE:
    case TOP_KEY_UNKNOWN:
        break;
    case TOP_KEY_UP:
        rows_move(list, -1);
        break;
    case TOP_KEY_DOWN:
        rows_move(list, 1);
        break;
    case TOP_KEY_PAGE_UP:
        rows_move(list, -page);
        break;
    case TOP_KEY_PAGE_DOWN:
        rows_move(list, page);
        break;
    case TOP_KEY_HOME:
        rows_move(list, -(int64_t)list->count);
        break;
    case TOP_KEY_END:
        rows_move(list, (int64_t)list->count);
        break;
    case TOP_KEY_ENTER:
        if (!model->name)
            look_at(model, TOP_FLOWS);
        break;
    case TOP_KEY_BACK:
        if (list->filter[0])
            rows_filter(list, "");
        else
            model_leave(model);
        break;
    case TOP_KEY_FLOWS:
        look_at(model, TOP_FLOWS);
        break;
    case TOP_KEY_SESSIONS:
        look_at(model, TOP_SESSIONS);
        break;
    case TOP_KEY_OTHER:
        look_at(model, model->view == TOP_FLOWS ? TOP_SESSIONS : TOP_FLOWS);
        break;
    case TOP_KEY_SORT_NEXT:
        rows_sort_by(list, 1);
        break;
    case TOP_KEY_SORT_PREVIOUS:
        rows_sort_by(list, -1);
        break;
    case TOP_KEY_TURN:
        rows_turn(list);
        break;
    case TOP_KEY_PAUSE:
        model->paused = !model->paused;
        break;
    case TOP_KEY_HELP:
        model->helping = true;
        model->help_first = 0;
        break;
    case TOP_KEY_FILTER:
    case TOP_KEY_CLOSE:
    case TOP_KEY_DISABLE:
        prompt_open(model, key);
        break;
    case TOP_KEY_QUIT:
        model->quitting = true;
        break;
    }
}
