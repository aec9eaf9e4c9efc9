/* SPDX-License-Identifier: Apache-2.0 */
/*
 * parse.c - argv by the tables of commands and flags. Flags may stand anywhere; "--" ends them.
 * The first word that is no flag is the command, so what a flag means is settled in a second
 * pass, when the command is known.
 */
#include "controller/cli/cli.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define KEY_TEXT_MAX 256

/* Where in argv we are; `cluster` is what is left of "-jw" behind the "-j". */
struct cursor {
    char **argv;
    int argc;
    int at;
    const char *cluster;
};

/* A flag as it stands in argv. */
struct hit {
    const struct flag *flag;
    bool negated;      /* --no-x */
    const char *value; /* behind "=", or the rest of "-xVALUE", or the next word; NULL: none */
    const char *shown; /* as the user wrote it */
};

static bool is_flag(const char *word)
{
    return word[0] == '-' && word[1];
}

static const struct flag *flag_by_letter(char letter)
{
    for (size_t i = 0; i < flag_count; i++)
        if (flags[i].letter && flags[i].letter == letter)
            return &flags[i];
    return NULL;
}

/* "name", "name=value", "no-name" */
static void match_long(struct hit *hit, const char *word)
{
    char name[64];
    const char *equals = strchr(word, '=');
    size_t len = equals ? (size_t)(equals - word) : strlen(word);
    if (len >= sizeof name)
        return;
    memcpy(name, word, len);
    name[len] = '\0';
    hit->value = equals ? equals + 1 : NULL;
    hit->flag = flag_find(name);
    if (hit->flag || strncmp(name, "no-", 3) != 0)
        return;
    const struct flag *negated = flag_find(name + 3);
    if (negated && negated->kind == FLAG_BOOL) {
        hit->flag = negated;
        hit->negated = true;
    }
}

/* Make out the flag at the cursor and step over it and its value. False: there is none such. */
static bool next_hit(struct cursor *cursor, struct hit *hit)
{
    *hit = (struct hit){.shown = cursor->argv[cursor->at]};
    if (!cursor->cluster && strncmp(hit->shown, "--", 2) == 0) {
        match_long(hit, hit->shown + 2);
    } else {
        const char *letter = cursor->cluster ? cursor->cluster : hit->shown + 1;
        cursor->cluster = NULL;
        hit->flag = flag_by_letter(letter[0]);
        if (hit->flag && letter[1] && hit->flag->kind == FLAG_BOOL) {
            cursor->cluster = letter + 1;
            return true;
        }
        if (letter[1])
            hit->value = letter + 1 + (letter[1] == '=');
    }
    cursor->at++;
    if (!hit->flag)
        return false;
    if (hit->flag->kind != FLAG_BOOL && !hit->value && cursor->at < cursor->argc)
        hit->value = cursor->argv[cursor->at++];
    return true;
}

static enum exit_status usage(const struct cli *cli, const char *what, const char *which)
{
    if (cli->command)
        return complain(EXIT_USAGE, "%s: %s%s. See: udptunctl help %s", cli->command->name, what,
                        which, cli->command->name);
    return complain(EXIT_USAGE, "%s%s. See: udptunctl help", what, which);
}

static enum exit_status bad_value(const struct hit *hit, const char *expected)
{
    return complain(EXIT_USAGE, "--%s: '%s' is no %s", hit->flag->name, hit->value, expected);
}

/* The key from standard input: it is sent, not the path. */
static enum exit_status read_key(json_t *fields)
{
    char text[KEY_TEXT_MAX];
    size_t size = fread(text, 1, sizeof text - 1, stdin);
    text[size] = '\0';
    text[strcspn(text, " \t\r\n")] = '\0';
    if (!text[0])
        return complain(EXIT_USAGE, "--key-file -: no key came on standard input");
    json_object_set_new(fields, "key", json_string(text));
    memset(text, 0, sizeof text);
    return EXIT_OK;
}

/* The daemon stands in another folder, so the path is made absolute here. */
static json_t *absolute_path(const char *path)
{
    char folder[PATH_MAX];
    if (path[0] == '/' || !getcwd(folder, sizeof folder))
        return json_string(path);
    return json_sprintf("%s/%s", strcmp(folder, "/") == 0 ? "" : folder, path);
}

static void append_list(json_t *into, const char *key, const char *value)
{
    json_t *list = json_object_get(into, key);
    if (!list) {
        list = json_array();
        json_object_set_new(into, key, list);
    }
    while (*value) {
        size_t len = strcspn(value, ",");
        if (len > 0)
            json_array_append_new(list, json_stringn(value, len));
        value += len + (value[len] == ',');
    }
}

static enum exit_status store(struct cli *cli, const struct hit *hit)
{
    const struct flag *flag = hit->flag;
    json_t *into = flag->field ? cli->fields : cli->options;
    const char *key = flag->field ? flag->field : flag->name;
    char *end = NULL;
    errno = 0;
    switch (flag->kind) {
    case FLAG_BOOL:
        json_object_set_new(into, key, json_boolean(!hit->negated));
        return EXIT_OK;
    case FLAG_INTEGER: {
        bool hex = strncmp(hit->value, "0x", 2) == 0;
        long long number = strtoll(hit->value, &end, hex ? 16 : 10);
        if (end == hit->value || *end || errno)
            return bad_value(hit, "whole number");
        json_object_set_new(into, key, json_integer(number));
        return EXIT_OK;
    }
    case FLAG_SECONDS: {
        double seconds = strtod(hit->value, &end);
        if (end == hit->value || *end || errno || !(seconds > 0) || seconds > 1e9)
            return bad_value(hit, "number of seconds above 0");
        json_object_set_new(into, key, json_real(seconds));
        return EXIT_OK;
    }
    case FLAG_KEY_FILE:
        if (strcmp(hit->value, "-") == 0)
            return read_key(into);
        json_object_set_new(into, key, absolute_path(hit->value));
        break;
    case FLAG_LIST:
        append_list(into, key, hit->value);
        break;
    case FLAG_TEXT:
        json_object_set_new(into, key, json_string(hit->value));
        break;
    }
    /* Only UTF-8 becomes JSON. */
    return json_object_get(into, key) ? EXIT_OK : bad_value(hit, "UTF-8 text");
}

static enum exit_status take(struct cli *cli, const struct hit *hit)
{
    if (!(hit->flag->groups & (GROUP_ANY | cli->command->groups)))
        return usage(cli, "has no flag ", hit->shown);
    if (hit->flag->kind == FLAG_BOOL && hit->value)
        return usage(cli, "takes no value: ", hit->shown);
    if (hit->flag->kind != FLAG_BOOL && !hit->value)
        return usage(cli, "wants a value: ", hit->shown);
    return store(cli, hit);
}

/* The first word that is neither a flag nor the value of one, or NULL. */
static const char *find_command_word(int argc, char **argv)
{
    struct cursor cursor = {argv, argc, 1, NULL};
    while (cursor.at < argc) {
        struct hit hit;
        const char *word = argv[cursor.at];
        if (strcmp(word, "--") == 0)
            return cursor.at + 1 < argc ? argv[cursor.at + 1] : NULL;
        if (!is_flag(word))
            return word;
        next_hit(&cursor, &hit);
    }
    return NULL;
}

enum exit_status parse_arguments(struct cli *cli, int argc, char **argv)
{
    cli->fields = json_object();
    cli->options = json_object();
    cli->args = argv; /* the words that are no flags gather at its front */
    const char *command_word = find_command_word(argc, argv);
    cli->command = command_find(command_word ? command_word : "status");
    cli->command_given = command_word != NULL;
    if (!cli->command)
        return usage(cli, "there is no command ", command_word);

    struct cursor cursor = {argv, argc, 1, NULL};
    bool flags_over = false;
    bool command_seen = command_word == NULL;
    while (cursor.at < argc) {
        char *word = argv[cursor.at];
        if (!flags_over && strcmp(word, "--") == 0) {
            flags_over = true;
            cursor.at++;
        } else if (!flags_over && is_flag(word)) {
            struct hit hit;
            if (!next_hit(&cursor, &hit))
                return usage(cli, "has no flag ", word);
            enum exit_status status = take(cli, &hit);
            if (status != EXIT_OK)
                return status;
        } else if (!command_seen) {
            command_seen = true;
            cursor.at++;
        } else {
            cli->args[cli->arg_count++] = word;
            cursor.at++;
        }
    }
    cli->json = option_bool(cli, "json");
    if (option_bool(cli, "help") || option_bool(cli, "version"))
        return EXIT_OK;
    if (cli->arg_count < cli->command->least_args)
        return usage(cli, "wants ", cli->command->args);
    if (cli->arg_count > cli->command->most_args)
        return usage(cli, "does not know what to do with ", cli->args[cli->command->most_args]);
    return EXIT_OK;
}
