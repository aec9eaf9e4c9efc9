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

int error_set_errno(struct udptun_error *err, int code, int sys_errno, const char *field,
                    const char *format, ...)
{
    if (err) {
        va_list args;
        va_start(args, format);
        fill(err, code, sys_errno, field, format, args);
        va_end(args);
        size_t used = strlen(err->message);
        char text[128];
        const char *cause = strerror_r(sys_errno, text, sizeof text);
        /* "Connection refused" stands in the middle of a sentence here; "RFS ..." stays. */
        bool lower = isupper((unsigned char)cause[0]) && islower((unsigned char)cause[1]);
        snprintf(err->message + used, sizeof err->message - used, ": %c%s",
                 lower ? tolower((unsigned char)cause[0]) : cause[0], cause[0] ? cause + 1 : "");
    }
    return code;
}
