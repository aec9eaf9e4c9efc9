/* SPDX-License-Identifier: Apache-2.0 */
/*
 * text_table.h - a table of text that fits the terminal.
 *
 * A table that is too wide first loses columns, in the order of their `drop`, and then has its
 * widest text column cut. Without a terminal it is as wide as it is.
 */
#ifndef CONTROLLER_CLI_TEXT_TABLE_H
#define CONTROLLER_CLI_TEXT_TABLE_H

#include "controller/cli/cli.h"

#define TABLE_MAX_COLUMNS 16
#define TABLE_GAP         2 /* between columns */

struct column {
    const char *title;
    bool right;    /* numbers stand to the right */
    unsigned drop; /* 1 is dropped first; 0: never */
};

struct text_table_cell {
    char *text;
    enum colour colour;
};

struct text_table {
    const struct column *columns;
    size_t column_count;
    struct text_table_cell *cells; /* row by row */
    size_t cell_count;
    size_t cell_room;
    size_t indent;
};

void text_table_init(struct text_table *table, const struct column *columns, size_t count);
void text_table_fini(struct text_table *table);

/* The next cell of the row that is being filled, from left to right; control characters become
 * '?'. Memory that runs out leaves the cell empty. */
void text_table_cell(struct text_table *table, enum colour colour, const char *text);

/* The widths at which titles and rows fit `width` (0: no limit), none narrower than `widths` says
 * if it need not be; 0 for a column that is left out. */
void text_table_fit(const struct text_table *table, int width, size_t widths[TABLE_MAX_COLUMNS]);

/* Print titles and rows; `width` 0: no limit. */
void text_table_print(const struct text_table *table, bool coloured, int width);

#endif
