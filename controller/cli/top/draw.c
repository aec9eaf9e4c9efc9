/* SPDX-License-Identifier: Apache-2.0 */
/*
 * draw.c - see draw.h. From top to bottom:
 *
 *   the daemon, or that there is none
 *   of a tunnel that is looked into: what it is, what it moves, what it drops, why it is not well
 *   the table, the selected row in reverse video
 *   the keys, or what happened last
 *
 * In a low window the table keeps its rows longest; a narrow one leaves columns out.
 */
#include "controller/cli/top/draw.h"

#include <inttypes.h>
#include <stdarg.h>
#include <string.h>

#include "controller/cli/top/screen.h"

/* ---- a line of pieces --------------------------------------------------------------------------
 */

struct line {
    int row;
    int column;
};

static void piece(struct line *line, enum colour colour, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static void piece(struct line *line, enum colour colour, const char *format, ...)
{
    char text[TOP_NOTE_SIZE + 64];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    line->column =
        screen_put(line->row, line->column, screen_columns() - line->column, false, colour, text);
}

static const char *bytes_s(double rate, char text[UNIT_TEXT_SIZE])
{
    return unit_bytes((uint64_t)(rate + 0.5), text);
}

static const char *plural(size_t count)
{
    return count == 1 ? "" : "s";
}

/* ---- the head ----------------------------------------------------------------------------------
 */

static void draw_daemon(const struct top_model *model, int row)
{
    char text[UNIT_TEXT_SIZE], more[UNIT_TEXT_SIZE];
    struct line line = {row, 0};
    if (model->paused)
        piece(&line, COLOUR_YELLOW, "PAUSED ");
    if (!model->connected) {
        piece(&line, COLOUR_RED, "no daemon");
        piece(&line, COLOUR_NONE, " at %s; trying again", model->socket);
        return;
    }
    const char *health = text_of(model->status, "health");
    double tx_bytes_s, rx_bytes_s;
    size_t count = model->lists[TOP_TUNNELS].count;
    model_totals(model, &tx_bytes_s, &rx_bytes_s);
    piece(&line, COLOUR_BOLD, "udptund");
    if (!model->status)
        return;
    piece(&line, COLOUR_NONE, " %s, up %s, health ", text_of(model->status, "version"),
          unit_seconds(number_of(model->status, "uptime"), text));
    piece(&line, colour_of_state(health), "%s", health);
    piece(&line, COLOUR_NONE, "; %zu object%s, TX %s/s, RX %s/s", count, plural(count),
          bytes_s(tx_bytes_s, text), bytes_s(rx_bytes_s, more));
}

/* "home: local, established, udp://127.0.0.1:5353 to 127.0.0.1:7000" */
static void draw_what(const struct top_row *row, struct line line)
{
    const json_t *object = row->object;
    const char *state = text_of(object, "state");
    const char *role = text_of(object, "role");
    const char *listen = text_of(object, "listen"), *server = text_of(object, "server");
    const char *device = text_of(object, "device");
    piece(&line, COLOUR_BOLD, "%s", row->key);
    piece(&line, COLOUR_NONE, ": %s, ", role[0] ? role : "tun2socks");
    piece(&line, colour_of_state(state), "%s", state);
    if (listen[0] || device[0])
        piece(&line, COLOUR_NONE, ", at %s", listen[0] ? listen : device);
    if (server[0])
        piece(&line, COLOUR_NONE, " to %s", server);
}

static void draw_traffic(const struct top_row *row, struct line line)
{
    char text[UNIT_TEXT_SIZE], packets[UNIT_TEXT_SIZE];
    const json_t *rtt = json_object_get(row->object, "rttMs");
    piece(&line, COLOUR_NONE, "TX %s/s (%s/s)", bytes_s(row->tx_bytes_s, text),
          unit_count((uint64_t)(row->tx_packets_s + 0.5), packets));
    piece(&line, COLOUR_NONE, "  RX %s/s (%s/s)", bytes_s(row->rx_bytes_s, text),
          unit_count((uint64_t)(row->rx_packets_s + 0.5), packets));
    if (json_is_number(rtt))
        piece(&line, COLOUR_NONE, "  RTT %s", unit_ms(json_number_value(rtt), text));
    piece(&line, COLOUR_NONE, "  reconnects %" PRIu64 "  up %s",
          number_of(row->object, "reconnects"),
          unit_seconds(number_of(row->object, "uptime"), text));
}

/* "dropped 12 (0/s): 9 stale, 3 queue; 9 connections, 9 up, queue at most 3 ms" */
static void draw_drops(const struct top_row *row, struct line line)
{
    char text[UNIT_TEXT_SIZE];
    uint64_t dropped = dropped_of(row->object);
    enum colour colour = row->dropped_s > 0 ? COLOUR_RED : dropped ? COLOUR_YELLOW : COLOUR_NONE;
    piece(&line, colour, "dropped %" PRIu64, dropped);
    if (dropped)
        piece(&line, COLOUR_NONE, " (%.1f/s)", row->dropped_s);
    const char *cause;
    json_t *count;
    bool first = true;
    json_object_foreach(json_object_get(row->object, "dropped"), cause, count)
    {
        if (json_integer_value(count) > 0)
            piece(&line, COLOUR_NONE, "%s%" PRIu64 " %s", first ? ": " : ", ",
                  (uint64_t)json_integer_value(count), cause);
        first = first && json_integer_value(count) <= 0;
    }
    const json_t *connections = json_object_get(row->object, "connections");
    size_t i, up = 0, all = json_array_size(connections);
    double most_ms = 0;
    json_t *connection;
    json_array_foreach(connections, i, connection)
    {
        double queue_ms = json_number_value(json_object_get(connection, "queueMs"));
        up += strcmp(text_of(connection, "state"), "up") == 0;
        most_ms = queue_ms > most_ms ? queue_ms : most_ms;
    }
    if (all > 0)
        piece(&line, up < all ? COLOUR_YELLOW : COLOUR_NONE,
              "; %zu connection%s, %zu up, queue at most %s", all, plural(all), up,
              unit_ms(most_ms, text));
}

/* What is looked into, in up to `room` lines from `row` on; returns the row behind them. */
static int draw_tunnel(const struct top_model *model, int row, int room)
{
    const struct top_row *tunnel = model_tunnel(model);
    if (!model->name || room < 1)
        return row;
    if (!tunnel) {
        struct line line = {row++, 0};
        piece(&line, COLOUR_BOLD, "%s", model->name);
        piece(&line, COLOUR_NONE, ": there is nothing of that name");
        return row;
    }
    const char *error = text_of(tunnel->object, "lastError");
    bool well = colour_of_state(text_of(tunnel->object, "state")) == COLOUR_GREEN;
    draw_what(tunnel, (struct line){row++, 0});
    if (room > 1)
        draw_traffic(tunnel, (struct line){row++, 0});
    if (room > 2)
        draw_drops(tunnel, (struct line){row++, 0});
    if (room > 3 && error[0] && !well) {
        struct line line = {row++, 0};
        piece(&line, COLOUR_RED, "%s", error);
    }
    return row;
}

/* ---- the table ---------------------------------------------------------------------------------
 */

/* Rows `first` up to `first + room` as text, and widths at which they fit. */
static void fill_table(struct top_list *list, struct text_table *table, struct column *heads,
                       size_t room)
{
    const struct top_table *source = list->table;
    for (size_t c = 0; c < source->column_count; c++)
        heads[c] = source->columns[c].head;
    text_table_init(table, heads, source->column_count);
    for (size_t i = list->first; i < list->count && i < list->first + room; i++) {
        for (size_t c = 0; c < source->column_count; c++) {
            const struct top_column *column = &source->columns[c];
            char text[TOP_SORT_TEXT_SIZE];
            column->text(list->order[i], text);
            text_table_cell(table, column->colour ? column->colour(list->order[i]) : COLOUR_NONE,
                            text);
        }
    }
    size_t widths[TABLE_MAX_COLUMNS];
    memcpy(widths, list->widths, sizeof widths);
    /* The sorted column has its arrow behind its title. */
    size_t title = strlen(heads[list->sort].title) + 1;
    if (widths[list->sort] < title)
        widths[list->sort] = title;
    text_table_fit(table, screen_columns(), widths);
    memcpy(list->widths, widths, sizeof widths);
}

/* One row of cells, `cells` NULL: the titles. */
static void draw_cells(const struct top_list *list, const struct column *heads,
                       const struct text_table_cell *cells, int row)
{
    int column = 0;
    for (size_t c = 0; c < list->table->column_count; c++) {
        char title[40];
        int width = (int)list->widths[c];
        bool sorted = c == list->sort;
        bool down = (list->table->columns[c].number != NULL) != list->upside_down;
        if (width == 0)
            continue;
        if (!cells)
            snprintf(title, sizeof title, "%s%s", heads[c].title, sorted ? screen_arrow(down) : "");
        const char *text = cells ? cells[c].text : title;
        screen_put(row, column, width, heads[c].right, cells ? cells[c].colour : COLOUR_BOLD,
                   text ? text : "");
        column += width + TABLE_GAP;
    }
}

/* Draws in up to `room` rows from `row` on; returns the row behind them. */
static int draw_table(struct top_model *model, int row, int room)
{
    struct top_list *list = model_list(model);
    struct column heads[TABLE_MAX_COLUMNS];
    struct text_table table;
    bool titled = room > 1;
    size_t rows = (size_t)(room - titled);
    model->page = rows;
    rows_scroll(list, rows);
    fill_table(list, &table, heads, rows);
    if (titled)
        draw_cells(list, heads, NULL, row++);
    size_t columns = list->table->column_count;
    for (size_t i = 0; i * columns < table.cell_count; i++, row++) {
        bool marked = list->first + i == list->selected;
        screen_mark(row, marked);
        draw_cells(list, heads, table.cells + i * columns, row);
        screen_mark(row, false);
    }
    text_table_fini(&table);
    return row;
}

/* Why they are not well, of as many tunnels as there is room for. */
static void draw_errors(const struct top_list *list, int row, int end)
{
    row++;
    for (size_t i = 0; i < list->count && row < end; i++) {
        const json_t *object = list->order[i]->object;
        const char *error = text_of(object, "lastError");
        if (!error[0] || colour_of_state(text_of(object, "state")) == COLOUR_GREEN)
            continue;
        struct line line = {row++, 0};
        piece(&line, COLOUR_NONE, "%s: ", list->order[i]->key);
        piece(&line, COLOUR_RED, "%s", error);
    }
}

/* Why there are no rows. */
static void draw_nothing(const struct top_model *model, const struct top_list *list, int row)
{
    struct line line = {row, 0};
    if (model->refusal[0])
        piece(&line, COLOUR_RED, "%s", model->refusal);
    else if (model->name && model_tunnel(model) && !model->is_listed)
        piece(&line, COLOUR_NONE, "A tun2socks instance has no list of flows.");
    else if (list->at_ms >= 0)
        piece(&line, COLOUR_NONE, "%s", list->table->none);
}

/* ---- the foot, the help ------------------------------------------------------------------------
 */

static void draw_foot(const struct top_model *model, int row)
{
    struct line line = {row, 0};
    const struct top_list *list = &model->lists[model->view];
    if (model->prompt == TOP_PROMPT_FILTER) {
        piece(&line, COLOUR_BOLD, "/%s_", list->filter);
        piece(&line, COLOUR_DIM, "  Enter keeps, Esc shows all");
        return;
    }
    if (model->prompt == TOP_PROMPT_CONFIRM) {
        piece(&line, COLOUR_RED, "%s", model->question);
        return;
    }
    if (model->note[0]) {
        piece(&line, COLOUR_YELLOW, "%s", model->note);
        return;
    }
    if (list->filter[0]) {
        piece(&line, COLOUR_BOLD, "/%s", list->filter);
        piece(&line, COLOUR_DIM, "  %zu of %zu  Esc shows all", list->count, list->row_count);
        return;
    }
    if (model->name)
        piece(&line, COLOUR_DIM, "Esc back  Tab %s  / filter  p %s  ? help  q quit",
              model->view == TOP_FLOWS ? "sessions" : "flows", model->paused ? "go on" : "pause");
    else
        piece(&line, COLOUR_DIM, "Enter look into  / filter  p %s  ? help  q quit",
              model->paused ? "go on" : "pause");
    if (list->count > model->page)
        piece(&line, COLOUR_DIM, "  %zu of %zu%s", list->selected + 1, list->count,
              model->more && model->view == TOP_FLOWS ? "+" : "");
}

/* In a low window from the line on to which the user has scrolled. */
static void draw_help(struct top_model *model)
{
    static const char *const lines[] = {
        "udptunctl top",
        "",
        "Up Down, k j         select",
        "PgUp PgDn, b Space   a page",
        "Home End, g G        first, last",
        "Enter, Right         look into the selected tunnel",
        "Esc, Left            back to all of them",
        "f  s  Tab            its flows, its sessions, the other of the two",
        "/                    show only the rows that contain what you type",
        "< >                  sort by the column to the left, to the right",
        "r                    turn the order upside down",
        "d                    disable or enable the tunnel, after a question",
        "x                    close the selected session, after a question",
        "p                    pause the picture, go on",
        "q, Ctrl-C            quit",
        "",
        "TX goes towards the far end. TX and RX are what moves in a second, TX ALL",
        "and RX ALL what has moved so far; PKT/S and DROP/S are datagrams.",
        "",
        "Up and Down scroll this page, any other key goes back.",
    };
    const int count = sizeof lines / sizeof lines[0];
    int rows = screen_rows();
    int last_first = count > rows ? count - rows : 0;
    if (model->help_first > last_first)
        model->help_first = last_first;
    model->page = rows > 1 ? (size_t)rows - 1 : 1;
    for (int row = 0; row < rows && row + model->help_first < count; row++) {
        const char *text = lines[row + model->help_first];
        bool more = row == rows - 1 && row + model->help_first < count - 1;
        screen_put(row, 0, screen_columns(), false, text == lines[0] ? COLOUR_BOLD : COLOUR_NONE,
                   text);
        if (more)
            screen_put(row, screen_columns() - 2, 2, true, COLOUR_BOLD, screen_arrow(true));
    }
}

void draw(struct top_model *model)
{
    int rows = screen_rows(), row = 0;
    screen_begin();
    if (model->helping) {
        draw_help(model);
        screen_end();
        return;
    }
    bool footed = rows >= 5, headed = rows >= 3 || !model->connected;
    if (headed)
        draw_daemon(model, row++);
    row = draw_tunnel(model, row, rows - row - footed - 4);
    if (rows - row - footed > 6)
        row++;
    int room = rows - row - footed;
    struct top_list *list = model_list(model);
    if (room > 0 && (list->count > 0 || list->row_count > 0)) {
        row = draw_table(model, row, room);
        if (model->view == TOP_TUNNELS)
            draw_errors(list, row, rows - footed);
    } else if (room > 0) {
        draw_nothing(model, list, row);
    }
    if (footed)
        draw_foot(model, rows - 1);
    screen_end();
}
