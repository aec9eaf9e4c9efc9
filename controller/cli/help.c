/* SPDX-License-Identifier: Apache-2.0 */
/* help.c - help and the man page's synopsis, from the tables. */
#include "controller/cli/cli.h"

#include <string.h>

#define HELP_COLUMN 30
#define HELP_WIDTH  80

/* `text` from column HELP_COLUMN on, wrapped. */
static void print_wrapped(FILE *to, const char *text)
{
    const size_t room = HELP_WIDTH - HELP_COLUMN;
    while (strlen(text) > room) {
        size_t len = room;
        while (len > 0 && text[len] != ' ')
            len--;
        if (len == 0)
            break;
        fprintf(to, "%.*s\n%*s", (int)len, text, HELP_COLUMN, "");
        text += len + 1;
    }
    fprintf(to, "%s\n", text);
}

static void print_flag(FILE *to, const struct flag *flag)
{
    int used = flag->letter ? fprintf(to, "  -%c, --%s", flag->letter, flag->name)
                            : fprintf(to, "      --%s", flag->name);
    if (flag->metavar)
        used += fprintf(to, " %s", flag->metavar);
    if (used >= HELP_COLUMN)
        fprintf(to, "\n%*s", HELP_COLUMN, "");
    else
        fprintf(to, "%*s", HELP_COLUMN - used, "");
    print_wrapped(to, flag->help);
}

static void print_flags(FILE *to, unsigned groups)
{
    for (size_t i = 0; i < flag_count; i++)
        if (flags[i].groups & groups)
            print_flag(to, &flags[i]);
}

static void print_command_help(FILE *to, const struct command *command)
{
    fprintf(to, "udptunctl %s%s%s%s\n\n%c%s.\n", command->name, command->args[0] ? " " : "",
            command->args, command->groups ? " [FLAGS]" : "", command->summary[0] - 'a' + 'A',
            command->summary + 1);
    if (command->details)
        fprintf(to, "%s\n", command->details);
    if (command->groups) {
        fprintf(to, "\nFlags (a list may be repeated; --no-x undoes a flag without value):\n");
        print_flags(to, command->groups);
    }
    fprintf(to, "\nFlags of every command:\n");
    print_flags(to, GROUP_ANY);
}

void print_help(FILE *to, const struct command *command)
{
    if (command) {
        print_command_help(to, command);
        return;
    }
    fprintf(to,
            "udptunctl [-s SOCKET] [-j] [--timeout SECONDS] [COMMAND ...]\n\n"
            "Drives udptund: UDP tunnels in TCP streams. Without a command: status.\n\n");
    for (size_t i = 0; i < command_count; i++) {
        int used = fprintf(to, "  %s %s", commands[i].name, commands[i].args);
        fprintf(to, "%*s", HELP_COLUMN - used, "");
        print_wrapped(to, commands[i].summary);
    }
    fprintf(to, "\nFlags of every command:\n");
    print_flags(to, GROUP_ANY);
    fprintf(to,
            "\nThe flags of one: udptunctl help COMMAND\n"
            "Exit status: 0 ok, 1 other, 2 usage, 3 timeout, 4 the operation failed,\n"
            "             5 not found, 6 conflict, 7 permission, 8 no daemon\n");
}

/* Words in capitals are for the reader to replace: italic; the rest is as it is typed: bold. */
static void print_roff_words(const char *words)
{
    while (*words) {
        size_t len = strcspn(words, " ");
        bool optional = words[0] == '[';
        printf(" %s\\fI%.*s\\fR%s", optional ? "[" : "", (int)(len - (optional ? 2 : 0)),
               words + optional, optional ? "]" : "");
        words += len + (words[len] == ' ');
    }
}

static void print_roff_flag(const struct flag *flag)
{
    printf(" [\\fB");
    if (flag->letter)
        printf("\\-%c\\fR|\\fB", flag->letter);
    printf("\\-\\-");
    for (const char *at = flag->name; *at; at++)
        printf(*at == '-' ? "\\-" : "%c", *at);
    printf("\\fR");
    if (flag->metavar)
        printf(" \\fI%s\\fR", flag->metavar);
    putchar(']');
}

static void print_man_synopsis(void)
{
    for (size_t i = 0; i < command_count; i++) {
        const struct command *command = &commands[i];
        printf(".br\n\\fBudptunctl %s\\fR", command->name);
        print_roff_words(command->args);
        for (size_t f = 0; f < flag_count; f++)
            if ((flags[f].groups & command->groups) && command->groups != GROUP_HELP)
                print_roff_flag(&flags[f]);
        putchar('\n');
    }
}

enum exit_status run_help(struct cli *cli)
{
    if (option_bool(cli, "man-synopsis")) {
        print_man_synopsis();
        return EXIT_OK;
    }
    const struct command *command = NULL;
    if (cli->arg_count > 0) {
        command = command_find(cli->args[0]);
        if (!command)
            return complain(EXIT_USAGE, "help: there is no command %s. See: udptunctl help",
                            cli->args[0]);
    }
    print_help(stdout, command);
    return EXIT_OK;
}
