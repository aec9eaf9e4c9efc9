/* SPDX-License-Identifier: Apache-2.0 */
/* output.c - the terminal, colours, JSON, complaints, and fields of replies. */
#include "controller/cli/cli.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/platform/terminal.h"

/* Narrower than this no table can be made to fit. */
#define LEAST_WIDTH 40

void output_init(struct cli *cli)
{
    const char *no_colour = getenv("NO_COLOR");
    const char *terminal = getenv("TERM");
    unsigned columns;
    if (!terminal_of_output(&columns))
        return;
    cli->colour = !(no_colour && no_colour[0]) && terminal && strcmp(terminal, "dumb") != 0;
    if (columns > 0)
        cli->width = columns < LEAST_WIDTH ? LEAST_WIDTH : (int)columns;
}

const char *colour_on(bool coloured, enum colour colour)
{
    if (!coloured)
        return "";
    switch (colour) {
    case COLOUR_NONE:
        return "";
    case COLOUR_BOLD:
        return "\033[1m";
    case COLOUR_DIM:
        return "\033[2m";
    case COLOUR_GREEN:
        return "\033[32m";
    case COLOUR_YELLOW:
        return "\033[33m";
    case COLOUR_RED:
        return "\033[31m";
    }
    return "";
}

const char *colour_off(bool coloured, enum colour colour)
{
    return coloured && colour != COLOUR_NONE ? "\033[0m" : "";
}

enum colour colour_of_state(const char *state)
{
    static const struct {
        const char *state;
        enum colour colour;
    } states[] = {
        {"established", COLOUR_GREEN}, {"listening", COLOUR_GREEN},
        {"up", COLOUR_GREEN},          {"ok", COLOUR_GREEN},
        {"running", COLOUR_GREEN},     {"starting", COLOUR_YELLOW},
        {"connecting", COLOUR_YELLOW}, {"handshake", COLOUR_YELLOW},
        {"degraded", COLOUR_YELLOW},   {"reconnecting", COLOUR_YELLOW},
        {"detached", COLOUR_YELLOW},   {"failed", COLOUR_RED},
        {"disabled", COLOUR_DIM},
    };
    for (size_t i = 0; i < sizeof states / sizeof states[0]; i++)
        if (strcmp(states[i].state, state) == 0)
            return states[i].colour;
    return COLOUR_NONE;
}

void print_json(const struct cli *cli, const json_t *value)
{
    size_t layout = cli->width ? JSON_INDENT(2) : JSON_COMPACT;
    json_dumpf(value ? value : json_null(), stdout,
               layout | JSON_ENCODE_ANY | JSON_REAL_PRECISION(15));
    putchar('\n');
    fflush(stdout);
}

void print_clean(FILE *to, const char *text)
{
    for (; *text; text++) {
        unsigned char byte = (unsigned char)*text;
        putc(byte < 0x20 || byte == 0x7f ? '?' : byte, to);
    }
}

enum exit_status complain(enum exit_status status, const char *format, ...)
{
    char text[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    fputs("udptunctl: ", stderr);
    print_clean(stderr, text);
    putc('\n', stderr);
    return status;
}

const char *text_of(const json_t *object, const char *field)
{
    const char *text = json_string_value(json_object_get(object, field));
    return text ? text : "";
}

uint64_t number_of(const json_t *object, const char *field)
{
    json_int_t value = json_integer_value(json_object_get(object, field));
    return value > 0 ? (uint64_t)value : 0;
}

uint64_t dropped_of(const json_t *object)
{
    json_t *dropped = json_object_get(object, "dropped");
    if (json_is_integer(dropped))
        return number_of(object, "dropped");
    uint64_t sum = 0;
    const char *cause;
    json_t *count;
    json_object_foreach(dropped, cause, count)
    {
        sum += number_of(dropped, cause);
    }
    return sum;
}

void print_unwritten(const json_t *value)
{
    const char *reason = text_of(value, "unwritten");
    if (!reason[0])
        return;
    printf("  not written yet, a restart would undo it: ");
    print_clean(stdout, reason);
    putchar('\n');
}
