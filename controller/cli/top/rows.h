/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rows.h - the rows of one table of "udptunctl top": what the daemon told, what of it moved in a
 * second, the order, and the row that is selected. No terminal, no clock, no connection: time
 * comes as an argument.
 *
 * A row is known by its key from one look at the daemon to the next, so rates are those of the
 * object itself and the selection stays on it wherever it moves.
 */
#ifndef TOP_ROWS_H
#define TOP_ROWS_H

#include "controller/cli/text_table.h"

enum top_kind {
    TOP_TUNNELS, /* tun2socks instances among them */
    TOP_FLOWS,
    TOP_SESSIONS,
};
#define TOP_KINDS 3

#define TOP_SORT_TEXT_SIZE 72
#define TOP_FILTER_SIZE    32

struct top_row {
    json_t *object;  /* as the daemon told; the row has a reference */
    const char *key; /* in `object` */
    double tx_bytes_s, rx_bytes_s;
    double tx_packets_s, rx_packets_s;
    double dropped_s;
    /* What the order goes by; of no meaning outside rows.c. */
    double sort_number;
    char sort_text[TOP_SORT_TEXT_SIZE];
    bool sort_down;
};

struct top_column {
    struct column head;
    /* What the cell shows. */
    void (*text)(const struct top_row *row, char text[TOP_SORT_TEXT_SIZE]);
    /* What it is sorted by, largest first; NULL: by the text, from A on. */
    double (*number)(const struct top_row *row);
    enum colour (*colour)(const struct top_row *row); /* NULL: none */
};

struct top_table {
    const struct top_column *columns;
    size_t column_count;
    const char *key;  /* the field that names an object */
    const char *none; /* said when there are no rows */
    size_t sort;      /* the column that it is sorted by at first */
};

/* columns.c: the table of each kind. */
extern const struct top_table top_tables[TOP_KINDS];

struct top_list {
    const struct top_table *table;
    struct top_row *rows; /* by key */
    size_t row_count;
    struct top_row **order;       /* those that match the filter */
    size_t count;                 /* of `order` */
    char filter[TOP_FILTER_SIZE]; /* a row is shown if one of its cells contains it; "": all are */
    int64_t at_ms;                /* of the look that the rows come from; -1: there was none */
    size_t sort;
    bool upside_down;
    char *selected_key; /* NULL: whatever is on top */
    size_t selected;    /* place in `order`; 0 when there are no rows */
    size_t first;       /* of the rows on the screen */
    /* The widest that a column has been: so the picture does not jump from second to second. */
    size_t widths[TABLE_MAX_COLUMNS];
};

void rows_init(struct top_list *list, enum top_kind kind);
void rows_fini(struct top_list *list);

/* Forget the rows and the selection; the order by which column stays. */
void rows_clear(struct top_list *list);

/* What the daemon tells at `now_ms`: objects that are no objects or have no key are left out.
 * UDPTUN_E_NOMEM: the rows are as they were. */
int rows_update(struct top_list *list, json_t *const *objects, size_t count, int64_t now_ms);

/* Sort by the next column that is shown (`step` 1), the one before (-1). */
void rows_sort_by(struct top_list *list, int step);
void rows_turn(struct top_list *list);

/* Show only the rows that contain `filter`, whatever its case; "": all. */
void rows_filter(struct top_list *list, const char *filter);

/* Move the selection, held within the rows. */
void rows_move(struct top_list *list, int64_t step);
/* Scroll so that the selected one of `room` rows is seen. */
void rows_scroll(struct top_list *list, size_t room);
/* NULL: no rows. */
const struct top_row *rows_selected(const struct top_list *list);

/* Forget how wide the columns were: the window has another size. */
void rows_forget_widths(struct top_list *list);

#endif
