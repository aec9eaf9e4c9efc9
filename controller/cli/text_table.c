/* SPDX-License-Identifier: Apache-2.0 */
/* text_table.c - see text_table.h. */
#include "controller/cli/text_table.h"

#include <stdlib.h>
#include <string.h>

#define CUT_MARK  "~"
#define LEAST_CUT 8 /* a column is cut to no less */

void text_table_init(struct text_table *table, const struct column *columns, size_t count)
{
    *table = (struct text_table){.columns = columns, .column_count = count};
}

void text_table_fini(struct text_table *table)
{
    for (size_t i = 0; i < table->cell_count; i++)
        free(table->cells[i].text);
    free(table->cells);
}

void text_table_cell(struct text_table *table, enum colour colour, const char *text)
{
    if (table->cell_count == table->cell_room) {
        size_t room = table->cell_room ? table->cell_room * 2 : 64;
        struct text_table_cell *cells = realloc(table->cells, room * sizeof *cells);
        if (!cells)
            return;
        table->cells = cells;
        table->cell_room = room;
    }
    char *copy = strdup(text);
    for (char *at = copy; at && *at; at++)
        if ((unsigned char)*at < 0x20 || *at == 0x7f)
            *at = '?';
    table->cells[table->cell_count++] = (struct text_table_cell){copy, colour};
}

/* Characters of UTF-8 text: every byte that does not continue one. */
static size_t width_of(const char *text)
{
    size_t width = 0;
    for (; text && *text; text++)
        width += ((unsigned char)*text & 0xc0) != 0x80;
    return width;
}

/* Columns in use have a width, the others 0. */
static size_t total_width(const struct text_table *table, const size_t *widths)
{
    size_t total = table->indent;
    bool first = true;
    for (size_t c = 0; c < table->column_count; c++) {
        if (widths[c] == 0)
            continue;
        total += widths[c] + (first ? 0 : TABLE_GAP);
        first = false;
    }
    return total;
}

/* The column to go next, or column_count: none may. */
static size_t next_to_drop(const struct text_table *table, const size_t *widths)
{
    size_t found = table->column_count;
    for (size_t c = 0; c < table->column_count; c++) {
        unsigned drop = table->columns[c].drop;
        if (widths[c] && drop &&
            (found == table->column_count || drop < table->columns[found].drop))
            found = c;
    }
    return found;
}

static void text_table_fit_width(const struct text_table *table, size_t *widths, size_t width)
{
    while (total_width(table, widths) > width) {
        size_t column = next_to_drop(table, widths);
        if (column == table->column_count)
            break;
        widths[column] = 0;
    }
    /* Cut the widest text column to the second widest, then both alike, and so on. */
    for (size_t total = total_width(table, widths); total > width; total--) {
        size_t widest = table->column_count;
        for (size_t c = 0; c < table->column_count; c++)
            if (!table->columns[c].right && widths[c] > LEAST_CUT &&
                (widest == table->column_count || widths[c] > widths[widest]))
                widest = c;
        if (widest == table->column_count)
            return;
        widths[widest]--;
    }
}

/* `text` in `width` columns, cut if it must be. */
static void print_cell(const char *text, size_t width, bool right, bool last)
{
    size_t own = width_of(text);
    int padding = own < width ? (int)(width - own) : 0;
    if (right)
        printf("%*s", padding, "");
    if (own > width) {
        size_t taken = 0;
        for (; *text && (taken < width - 1 || ((unsigned char)*text & 0xc0) == 0x80); text++) {
            putchar(*text);
            taken += ((unsigned char)text[1] & 0xc0) != 0x80;
        }
        fputs(CUT_MARK, stdout);
    } else {
        fputs(text, stdout);
    }
    if (!right && !last)
        printf("%*s", padding, "");
}

static void print_row(const struct text_table *table, const size_t *widths,
                      const struct text_table_cell *cells, bool coloured)
{
    size_t last = table->column_count;
    for (size_t c = 0; c < table->column_count; c++)
        if (widths[c])
            last = c;
    bool first = true;
    printf("%*s", (int)table->indent, "");
    for (size_t c = 0; c < table->column_count; c++) {
        if (widths[c] == 0)
            continue;
        if (!first)
            printf("%*s", TABLE_GAP, "");
        first = false;
        enum colour colour = cells ? cells[c].colour : COLOUR_BOLD;
        const char *text = cells ? cells[c].text : table->columns[c].title;
        fputs(colour_on(coloured, colour), stdout);
        print_cell(text ? text : "", widths[c], table->columns[c].right, c == last);
        fputs(colour_off(coloured, colour), stdout);
    }
    putchar('\n');
}

void text_table_fit(const struct text_table *table, int width, size_t widths[TABLE_MAX_COLUMNS])
{
    for (size_t c = 0; c < table->column_count; c++) {
        size_t own = width_of(table->columns[c].title);
        if (own > widths[c])
            widths[c] = own;
    }
    for (size_t i = 0; i < table->cell_count; i++) {
        size_t c = i % table->column_count;
        size_t own = width_of(table->cells[i].text);
        if (own > widths[c])
            widths[c] = own;
    }
    if (width > 0)
        text_table_fit_width(table, widths, (size_t)width);
}

void text_table_print(const struct text_table *table, bool coloured, int width)
{
    size_t widths[TABLE_MAX_COLUMNS] = {0};
    text_table_fit(table, width, widths);
    print_row(table, widths, NULL, coloured);
    for (size_t i = 0; i + table->column_count <= table->cell_count; i += table->column_count)
        print_row(table, widths, table->cells + i, coloured);
}
