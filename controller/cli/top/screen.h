/* SPDX-License-Identifier: Apache-2.0 */
/*
 * screen.h - the terminal of "udptunctl top": taken over, and given back whatever happens.
 *
 * One at a time, for signals have to find it. What a signal asks for (the end, another size) is
 * read from a descriptor in the loop; one that ends the process at once gives the terminal back
 * by itself.
 */
#ifndef CONTROLLER_CLI_TOP_SCREEN_H
#define CONTROLLER_CLI_TOP_SCREEN_H

#include "controller/cli/top/model.h"
#include "daemon/platform/socket.h"

/* Whether this is a terminal to draw on: EXIT_OK, or EXIT_USAGE after saying why it is none. */
enum exit_status screen_check(void);

/* Take the terminal over. EXIT_OK, or says why not. */
enum exit_status screen_open(const struct cli *cli);
void screen_close(void);

/* The next key, TOP_KEY_NONE: there is none now. `*character`: what it types ('\b' for the key that
 * erases), 0 for none. */
enum top_key screen_key(int *character);

/* Readable when screen_key() has one, or the terminal is gone. */
udptun_socket screen_key_fd(void);

/* Readable when screen_signal() has something to say. */
udptun_socket screen_signal_fd(void);

/* The signal that asks for the end, 0: none did. What else came is done: a new size is taken. */
int screen_signal(void);

/* With the terminal given back: end as the signal would have ended us. An interrupt only quits. */
void screen_raise(int number);

/* ---- to draw with ------------------------------------------------------------------------------
 */

int screen_rows(void);
int screen_columns(void);
void screen_begin(void); /* an empty picture */
void screen_end(void);   /* show it */

/* A line drawn in reverse video from edge to edge, cells that follow included, until screen_line()
 * with false. */
void screen_mark(int row, bool marked);

/* `text` from (row, column) on, in at most `width` columns, cut if it must be, to the right if
 * `right`; what cannot be shown on this terminal is '?'. Returns the column behind it. */
int screen_put(int row, int column, int width, bool right, enum colour colour, const char *text);

/* "down", "up": of a sorted column, as the character set allows. */
const char *screen_arrow(bool down);

#endif
