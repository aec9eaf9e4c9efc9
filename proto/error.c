/* SPDX-License-Identifier: Apache-2.0 */
/* error.c - names, texts and construction of errors. */
#include "proto/error.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

const char *error_name(int code)
{
    switch (code) {
#define CODE_NAME(symbol, value, name, text)                                                       \
    case value:                                                                                    \
        return name;
        UDPTUN_CODES(CODE_NAME)
#undef CODE_NAME
    }
    return "UNEXPECTED";
}

const char *error_text(int code)
{
    switch (code) {
#define CODE_TEXT(symbol, value, name, text)                                                       \
    case value:                                                                                    \
        return text;
        UDPTUN_CODES(CODE_TEXT)
#undef CODE_TEXT
    }
    return "unexpected failure";
}

__attribute__((format(printf, 5, 0))) static void fill(struct udptun_error *err, int code,
                                                       int sys_errno, const char *field,
                                                       const char *format, va_list args)
{
    err->code = code;
    err->sys_errno = sys_errno;
    snprintf(err->field, sizeof err->field, "%s", field ? field : "");
    vsnprintf(err->message, sizeof err->message, format, args);
}

int error_set(struct udptun_error *err, int code, const char *field, const char *format, ...)
{
    if (err) {
        va_list args;
        va_start(args, format);
        fill(err, code, 0, field, format, args);
        va_end(args);
    }
    return code;
}

/* There are two strerror_r(): glibc's gives the text back, POSIX's whether there is one. */
static const char *found_by_gnu(const char *found, const char *text)
{
    (void)text;
    return found;
}

static const char *found_by_posix(int failed, const char *text)
{
    return failed ? "unknown error" : text;
}

#define TEXT_OF(number, text, size)                                                                \
    _Generic(strerror_r(number, text, size), int: found_by_posix, char *: found_by_gnu)(           \
        strerror_r(number, text, size), text)

char *errno_text(int sys_errno, char text[ERRNO_TEXT_SIZE])
{
    char buffer[ERRNO_TEXT_SIZE];
    const char *found = TEXT_OF(sys_errno, buffer, sizeof buffer);
    snprintf(text, ERRNO_TEXT_SIZE, "%s", found);
    /* "Connection refused" stands in the middle of a sentence here; "RFS ..." stays. */
    if (isupper((unsigned char)text[0]) && islower((unsigned char)text[1]))
        text[0] = (char)tolower((unsigned char)text[0]);
    return text;
}

int error_set_errno(struct udptun_error *err, int code, int sys_errno, const char *field,
                    const char *format, ...)
{
    if (err) {
        va_list args;
        va_start(args, format);
        fill(err, code, sys_errno, field, format, args);
        va_end(args);
        size_t used = strlen(err->message);
        char text[ERRNO_TEXT_SIZE];
        snprintf(err->message + used, sizeof err->message - used, ": %s",
                 errno_text(sys_errno, text));
    }
    return code;
}
