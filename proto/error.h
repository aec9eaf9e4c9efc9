/* SPDX-License-Identifier: Apache-2.0 */
/* error.h - making the errors that <udptun/error.h> lists. */
#ifndef PROTO_ERROR_H
#define PROTO_ERROR_H

#include <udptun/error.h>

/* The wire name of a code ("PORT_IN_USE"); "UNEXPECTED" for one that is not in the list. */
const char *error_name(int code);

/* The plain text of a code ("port in use"). */
const char *error_text(int code);

/* The text of an errno for the end of a clause: "connection refused". Lower-case first letter.
 * Thread-safe; returns `text`. */
#define ERRNO_TEXT_SIZE 96
char *errno_text(int sys_errno, char text[ERRNO_TEXT_SIZE]);

/*
 * Fill `err` and return `code`, so that `return error_set(err, ...)` is one line. `field` may be
 * NULL (none); `err` may be NULL (the caller asked for the code alone). A text that does not fit
 * is cut.
 */
int error_set(struct udptun_error *err, int code, const char *field, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* As error_set(), with `sys_errno` noted and ": <its text>" appended to the message. */
int error_set_errno(struct udptun_error *err, int code, int sys_errno, const char *field,
                    const char *format, ...) __attribute__((format(printf, 5, 6)));

#endif
