/* SPDX-License-Identifier: Apache-2.0 */
/*
 * parse.c - argv by the tables of commands and flags. Flags may stand anywhere; "--" ends them.
 * The first word that is no flag is the command, so what a flag means is settled in a second
 * pass, when the command is known.
 */
#include "controller/cli/suggest.h"

#include <string.h>

#include "controller/cli/cli.h"

#define FLAG_NAME_MAX 64
#define SENTENCE_SIZE 128

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
    char name[FLAG_NAME_MAX];
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

static enum exit_status parse_usage(const struct cli *cli, const char *what, const char *which)
{
    if (cli->command)
        return complain(EXIT_USAGE, "%s: %s%s. See: udptunctl help %s", cli->command->name, what,
                        which, cli->command->name);
    return complain(EXIT_USAGE, "%s%s. See: udptunctl help", what, which);
}

/* The suggestion as a sentence that follows the complaint, or "". */
static const char *did_you_mean(const struct suggestion *suggestion, const char *dashes,
                                char text[SENTENCE_SIZE])
{
    text[0] = '\0';
    if (suggestion->best)
        snprintf(text, SENTENCE_SIZE, " Did you mean %s%s?", dashes, suggestion->best);
    return text;
}

static enum exit_status unknown_command(const char *word)
{
    struct suggestion suggestion;
    char sentence[SENTENCE_SIZE];
    suggest_init(&suggestion, word);
    for (size_t i = 0; i < command_count; i++)
        suggest_from(&suggestion, commands[i].name);
    return complain(EXIT_USAGE, "there is no command %s.%s See: udptunctl help", word,
                    did_you_mean(&suggestion, "", sentence));
}

/* A flag that no command has. */
static enum exit_status unknown_flag(const struct cli *cli, const char *shown)
{
    struct suggestion suggestion;
    char sentence[SENTENCE_SIZE], word[FLAG_NAME_MAX] = "";
    const char *name = shown + strspn(shown, "-");
    if (strncmp(shown, "--", 2) == 0)
        snprintf(word, sizeof word, "%.*s", (int)strcspn(name, "="), name);
    suggest_init(&suggestion, word);
    for (size_t i = 0; i < flag_count; i++)
        if (flags[i].groups & (GROUP_ANY | cli->command->groups))
            suggest_from(&suggestion, flags[i].name);
    return complain(EXIT_USAGE, "%s: has no flag %s.%s See: udptunctl help %s", cli->command->name,
                    shown, did_you_mean(&suggestion, "--", sentence), cli->command->name);
}

/* A flag that other commands have: say which, for a local's flag is easily given to a server. */
static enum exit_status flag_of_another(const struct cli *cli, const struct hit *hit)
{
    char owners[SENTENCE_SIZE] = "";
    size_t used = 0;
    for (size_t i = 0; i < command_count && used < sizeof owners; i++)
        if (commands[i].groups & hit->flag->groups)
            used += (size_t)snprintf(owners + used, sizeof owners - used, "%s%s", used ? ", " : "",
                                     commands[i].name);
    return complain(EXIT_USAGE, "%s: %s is a flag of: %s. See: udptunctl help %s",
                    cli->command->name, hit->shown, owners, cli->command->name);
}

static enum exit_status parse_take(struct cli *cli, const struct hit *hit)
{
    if (!(hit->flag->groups & (GROUP_ANY | cli->command->groups)))
        return flag_of_another(cli, hit);
    if (hit->flag->kind == FLAG_BOOL && hit->value)
        return parse_usage(cli, "takes no value: ", hit->shown);
    if (hit->flag->kind != FLAG_BOOL && !hit->value)
        return parse_usage(cli, "wants a value: ", hit->shown);
    return value_store(cli, hit->flag, hit->value, hit->negated);
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
        return unknown_command(command_word);

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
                return unknown_flag(cli, word);
            enum exit_status status = parse_take(cli, &hit);
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
        return parse_usage(cli, "wants ", cli->command->args);
    if (cli->arg_count > cli->command->most_args)
        return parse_usage(cli, "does not know what to do with ",
                           cli->args[cli->command->most_args]);
    return EXIT_OK;
}
