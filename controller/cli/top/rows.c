/* SPDX-License-Identifier: Apache-2.0 */
/* rows.c - see rows.h. */
#include "controller/cli/top/rows.h"

#include <stdlib.h>
#include <string.h>

void rows_init(struct top_list *list, enum top_kind kind)
{
    const struct top_table *table = &top_tables[kind];
    *list = (struct top_list){.table = table, .at_ms = -1, .sort = table->sort};
}

static void free_rows(struct top_row *rows, size_t count)
{
    for (size_t i = 0; i < count; i++)
        json_decref(rows[i].object);
    free(rows);
}

void rows_clear(struct top_list *list)
{
    free_rows(list->rows, list->row_count);
    free(list->order);
    free(list->selected_key);
    list->rows = NULL;
    list->order = NULL;
    list->selected_key = NULL;
    list->row_count = list->count = list->selected = list->first = 0;
    list->at_ms = -1;
    rows_forget_widths(list);
}

void rows_fini(struct top_list *list)
{
    rows_clear(list);
}

void rows_forget_widths(struct top_list *list)
{
    memset(list->widths, 0, sizeof list->widths);
}

/* ---- order and selection -----------------------------------------------------------------------
 */

static int compare_keys(const void *one, const void *other)
{
    return strcmp(((const struct top_row *)one)->key, ((const struct top_row *)other)->key);
}

/* Equal ones by key, so that they do not change places from second to second. */
static int compare_order(const void *one, const void *other)
{
    const struct top_row *a = *(struct top_row *const *)one, *b = *(struct top_row *const *)other;
    int by_value = a->sort_number < b->sort_number ? -1 : a->sort_number > b->sort_number;
    if (by_value == 0)
        by_value = strcmp(a->sort_text, b->sort_text);
    if (by_value != 0)
        return a->sort_down ? -by_value : by_value;
    return strcmp(a->key, b->key);
}

/* The place of the selected key; when it is gone, whatever stands at its place now. */
static void find_selected(struct top_list *list)
{
    if (!list->selected_key)
        list->selected = 0;
    for (size_t i = 0; list->selected_key && i < list->count; i++) {
        if (strcmp(list->order[i]->key, list->selected_key) == 0) {
            list->selected = i;
            return;
        }
    }
    rows_move(list, 0);
}

static bool is_shown(const struct top_list *list, const struct top_row *row)
{
    for (size_t c = 0; list->filter[0] && c < list->table->column_count; c++) {
        char text[TOP_SORT_TEXT_SIZE];
        list->table->columns[c].text(row, text);
        if (strcasestr(text, list->filter))
            return true;
    }
    return !list->filter[0] || strcasestr(row->key, list->filter);
}

static void sort_rows(struct top_list *list)
{
    list->count = 0;
    const struct top_column *column = &list->table->columns[list->sort];
    for (size_t i = 0; i < list->row_count; i++) {
        struct top_row *row = &list->rows[i];
        if (!is_shown(list, row))
            continue;
        row->sort_number = column->number ? column->number(row) : 0;
        row->sort_text[0] = '\0';
        if (!column->number)
            column->text(row, row->sort_text);
        row->sort_down = (column->number != NULL) != list->upside_down;
        list->order[list->count++] = row;
    }
    if (list->count > 1)
        qsort(list->order, list->count, sizeof *list->order, compare_order);
    find_selected(list);
}

void rows_sort_by(struct top_list *list, int step)
{
    size_t count = list->table->column_count;
    bool drawn = false;
    for (size_t i = 0; i < count; i++)
        drawn = drawn || list->widths[i] > 0;
    do
        list->sort = (list->sort + count + (step > 0 ? 1 : count - 1)) % count;
    while (drawn && list->widths[list->sort] == 0);
    list->upside_down = false;
    sort_rows(list);
}

void rows_turn(struct top_list *list)
{
    list->upside_down = !list->upside_down;
    sort_rows(list);
}

void rows_filter(struct top_list *list, const char *filter)
{
    snprintf(list->filter, sizeof list->filter, "%s", filter);
    if (list->rows)
        sort_rows(list);
}

void rows_move(struct top_list *list, int64_t step)
{
    int64_t last = list->count > 0 ? (int64_t)list->count - 1 : 0;
    int64_t place = (int64_t)list->selected + step;
    list->selected = (size_t)(place < 0 ? 0 : place > last ? last : place);
    free(list->selected_key);
    list->selected_key = list->selected > 0 ? strdup(list->order[list->selected]->key) : NULL;
}

void rows_scroll(struct top_list *list, size_t room)
{
    if (room == 0)
        room = 1;
    if (list->selected < list->first)
        list->first = list->selected;
    if (list->selected >= list->first + room)
        list->first = list->selected - room + 1;
    if (list->first + room > list->count)
        list->first = list->count > room ? list->count - room : 0;
}

const struct top_row *rows_selected(const struct top_list *list)
{
    return list->count > 0 ? list->order[list->selected] : NULL;
}

/* ---- a look at the daemon ----------------------------------------------------------------------
 */

/* Less than before: the object was made again, and what it moved is not known. */
static double rate(uint64_t now, uint64_t then, double elapsed_s)
{
    return now > then && elapsed_s > 0 ? (double)(now - then) / elapsed_s : 0;
}

static void set_rates(struct top_row *row, const struct top_row *before, double elapsed_s)
{
    const json_t *now = row->object, *then = before->object;
    row->tx_bytes_s = rate(number_of(now, "txBytes"), number_of(then, "txBytes"), elapsed_s);
    row->rx_bytes_s = rate(number_of(now, "rxBytes"), number_of(then, "rxBytes"), elapsed_s);
    row->tx_packets_s = rate(number_of(now, "txPackets"), number_of(then, "txPackets"), elapsed_s);
    row->rx_packets_s = rate(number_of(now, "rxPackets"), number_of(then, "rxPackets"), elapsed_s);
    row->dropped_s = rate(dropped_of(now), dropped_of(then), elapsed_s);
}

int rows_update(struct top_list *list, json_t *const *objects, size_t count, int64_t now_ms)
{
    struct top_row *rows = calloc(count + 1, sizeof *rows);
    struct top_row **order = calloc(count + 1, sizeof(struct top_row *));
    if (!rows || !order) {
        free(rows);
        free(order);
        return UDPTUN_E_NOMEM;
    }
    size_t taken = 0;
    for (size_t i = 0; i < count; i++) {
        const char *key = text_of(objects[i], list->table->key);
        if (key[0])
            rows[taken++] = (struct top_row){.object = json_incref(objects[i]), .key = key};
    }
    if (taken > 1)
        qsort(rows, taken, sizeof *rows, compare_keys);

    /* Both are by key: one pass finds who was there before. */
    double elapsed_s = list->at_ms < 0 ? 0 : (double)(now_ms - list->at_ms) / 1000;
    for (size_t i = 0, old = 0; i < taken; i++) {
        while (old < list->row_count && strcmp(list->rows[old].key, rows[i].key) < 0)
            old++;
        if (old < list->row_count && strcmp(list->rows[old].key, rows[i].key) == 0)
            set_rates(&rows[i], &list->rows[old], elapsed_s);
    }
    free_rows(list->rows, list->row_count);
    free(list->order);
    list->rows = rows;
    list->order = order;
    list->row_count = taken;
    list->at_ms = now_ms;
    sort_rows(list);
    return 0;
}
