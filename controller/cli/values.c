/* SPDX-License-Identifier: Apache-2.0 */
/*
 * values.c - the value of a flag, from the command line to JSON. Secrets do not belong on a command
 * line, where every user can read them: --key-file takes a path, and a flag whose URL may hold a
 * password takes @FILE.
 */
#include "controller/cli/cli.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/platform/files.h"
#include "daemon/platform/result.h"

#define LINE_SIZE 1024

static enum exit_status bad_value(const struct flag *flag, const char *text, const char *expected)
{
    return complain(EXIT_USAGE, "--%s: '%s' is not %s", flag->name, text, expected);
}

/* The first line of `path`, "-" for standard input, without the white space around it. */
static enum exit_status read_line(const struct flag *flag, const char *path, char line[LINE_SIZE])
{
    char text[IO_TEXT_SIZE];
    bool standard_input = strcmp(path, "-") == 0;
    FILE *file = standard_input ? stdin : fopen(path, "re");
    const char *name = standard_input ? "standard input" : path;
    if (!file)
        return complain(EXIT_USAGE, "--%s: cannot open '%s': %s", flag->name, path,
                        io_text(io_last(), text));
    bool got = fgets(line, LINE_SIZE, file) != NULL;
    bool failed = !got && ferror(file);
    int cause = io_last();
    if (!standard_input)
        fclose(file);
    if (failed)
        return complain(EXIT_USAGE, "--%s: cannot read '%s': %s", flag->name, name,
                        io_text(cause, text));
    if (!got)
        line[0] = '\0';
    if (strlen(line) + 1 == LINE_SIZE)
        return complain(EXIT_USAGE, "--%s: the first line of '%s' is too long", flag->name, name);
    size_t space = strspn(line, " \t\r\n");
    memmove(line, line + space, strlen(line + space) + 1);
    line[strcspn(line, " \t\r\n")] = '\0';
    if (!line[0])
        return complain(EXIT_USAGE, "--%s: the first line of '%s' is empty", flag->name, name);
    return EXIT_OK;
}

/* Only UTF-8 becomes JSON. */
static enum exit_status store_json(json_t *into, const char *key, json_t *value,
                                   const struct flag *flag, const char *text)
{
    return value && json_object_set_new(into, key, value) == 0
               ? EXIT_OK
               : bad_value(flag, text, "UTF-8 text");
}

/* The line of a file, sent as `key`. The file is named in an error, not the line. */
static enum exit_status store_line(json_t *into, const char *key, const struct flag *flag,
                                   const char *path)
{
    char line[LINE_SIZE];
    enum exit_status status = read_line(flag, path, line);
    if (status == EXIT_OK)
        status = store_json(into, key, json_string(line), flag, path);
    memset(line, 0, sizeof line);
    return status;
}

/* The daemon runs in another folder, so the path is made absolute here. */
static json_t *absolute_path(const char *path)
{
    char *folder = path[0] == '/' ? NULL : folder_current();
    json_t *absolute = folder ? json_sprintf("%s/%s", strcmp(folder, "/") == 0 ? "" : folder, path)
                              : json_string(path);
    free(folder);
    return absolute;
}

static enum exit_status store_list(json_t *into, const char *key, const struct flag *flag,
                                   const char *text)
{
    json_t *list = json_object_get(into, key);
    if (!list) {
        list = json_array();
        json_object_set_new(into, key, list);
    }
    for (const char *at = text; *at;) {
        size_t len = strcspn(at, ",");
        json_t *item = len > 0 ? json_stringn(at, len) : NULL;
        if (len > 0 && json_array_append_new(list, item) != 0)
            return bad_value(flag, text, "UTF-8 text");
        at += len + (at[len] == ',');
    }
    return EXIT_OK;
}

static enum exit_status store_integer(json_t *into, const char *key, const struct flag *flag,
                                      const char *text)
{
    char *end;
    bool hex = strncmp(text, "0x", 2) == 0;
    long long number = strtoll(text, &end, hex ? 16 : 10);
    if (end == text || *end || number == LLONG_MAX || number == LLONG_MIN)
        return bad_value(flag, text, "a whole number");
    return store_json(into, key, json_integer(number), flag, text);
}

static enum exit_status store_seconds(json_t *into, const char *key, const struct flag *flag,
                                      const char *text)
{
    char *end;
    double seconds = strtod(text, &end);
    if (end == text || *end || !(seconds > 0) || seconds > 1e9)
        return bad_value(flag, text, "a number of seconds above 0");
    return store_json(into, key, json_real(seconds), flag, text);
}

enum exit_status value_store(struct cli *cli, const struct flag *flag, const char *text,
                             bool negated)
{
    json_t *into = flag->field ? cli->fields : cli->options;
    const char *key = flag->field ? flag->field : flag->name;
    switch (flag->kind) {
    case FLAG_BOOL:
        return store_json(into, key, json_boolean(!negated), flag, text);
    case FLAG_INTEGER:
        return store_integer(into, key, flag, text);
    case FLAG_SECONDS:
        return store_seconds(into, key, flag, text);
    case FLAG_KEY_FILE:
        if (strcmp(text, "-") == 0)
            return store_line(into, "key", flag, text);
        return store_json(into, key, absolute_path(text), flag, text);
    case FLAG_LIST:
        return store_list(into, key, flag, text);
    case FLAG_URL:
        if (text[0] == '@')
            return store_line(into, key, flag, text + 1);
        return store_json(into, key, json_string(text), flag, text);
    case FLAG_TEXT:
        return store_json(into, key, json_string(text), flag, text);
    }
    return EXIT_USAGE;
}
