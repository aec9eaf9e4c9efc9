/* SPDX-License-Identifier: Apache-2.0 */
/*
 * completion.c - completion scripts for bash, zsh and fish, from the tables. Names of tunnels are
 * asked for as the user types, by "udptunctl completion names".
 */
#include "controller/cli/cli.h"

#include <string.h>

static void print_flag_words(unsigned groups)
{
    for (size_t i = 0; i < flag_count; i++)
        if (flags[i].groups & groups) {
            printf(" --%s", flags[i].name);
            if (flags[i].kind == FLAG_BOOL && flags[i].field)
                printf(" --no-%s", flags[i].name);
        }
}

/* 'text' for a shell. */
static void print_quoted(const char *text)
{
    putchar('\'');
    for (; *text; text++) {
        if (*text == '\'')
            fputs("'\\''", stdout);
        else
            putchar(*text);
    }
    putchar('\'');
}

/* "-s|--socket" of every flag that takes a value of this sort. */
static bool takes_value(const struct flag *flag, bool file)
{
    if (flag->kind == FLAG_BOOL || flag->words)
        return false;
    bool is_file = flag->kind == FLAG_KEY_FILE || strcmp(flag->name, "file") == 0 ||
                   strcmp(flag->name, "socket") == 0;
    return is_file == file;
}

static void print_value_case(bool file, const char *action)
{
    const char *separator = "    ";
    for (size_t i = 0; i < flag_count; i++) {
        if (!takes_value(&flags[i], file))
            continue;
        printf("%s--%s", separator, flags[i].name);
        separator = "|";
        if (flags[i].letter)
            printf("|-%c", flags[i].letter);
    }
    printf(") %s; return;;\n", action);
}

/* Bash, and zsh in bash's manner. */
static void print_bash_function(void)
{
    puts(
        "_udptunctl_words() {\n"
        "  local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} command= words= i\n"
        "  local socket=\n"
        "  COMPREPLY=()\n"
        "  for ((i = 1; i < COMP_CWORD; i++)); do\n"
        "    case ${COMP_WORDS[i]} in\n"
        "      -s|--socket) socket=${COMP_WORDS[i+1]}; ((i++));;\n"
        "      --timeout) ((i++));;\n"
        "      -*) ;;\n"
        "      *) command=${COMP_WORDS[i]}; break;;\n"
        "    esac\n"
        "  done\n"
        "  case $prev in");
    for (size_t i = 0; i < flag_count; i++)
        if (flags[i].words)
            printf("    --%s) COMPREPLY=($(compgen -W '%s' -- \"$cur\")); return;;\n",
                   flags[i].name, flags[i].words);
    print_value_case(true, "COMPREPLY=($(compgen -f -- \"$cur\"))");
    print_value_case(false, ":");
    puts(
        "  esac\n"
        "  case $command in");
    fputs("    '') words='", stdout);
    for (size_t i = 0; i < command_count; i++)
        printf("%s%s", i ? " " : "", commands[i].name);
    print_flag_words(GROUP_ANY);
    puts("';;");
    for (size_t i = 0; i < command_count; i++) {
        printf("    %s) words='", commands[i].name);
        print_flag_words(GROUP_ANY | commands[i].groups);
        printf("'");
        if (commands[i].words)
            printf("\" %s\"", commands[i].words);
        if (commands[i].takes_name)
            printf("\" $(udptunctl ${socket:+-s \"$socket\"} completion names 2>/dev/null)\"");
        puts(";;");
    }
    puts(
        "  esac\n"
        "  COMPREPLY=($(compgen -W \"$words\" -- \"$cur\"))\n"
        "}");
}

static void print_bash(void)
{
    puts("# bash completion of udptunctl");
    print_bash_function();
    puts("complete -F _udptunctl_words udptunctl");
}

/* Installed as _udptunctl it is read when the first word is completed, and has to complete that
 * one as well. */
static void print_zsh(void)
{
    puts(
        "#compdef udptunctl\n"
        "autoload -U +X bashcompinit && bashcompinit");
    print_bash_function();
    puts(
        "complete -F _udptunctl_words udptunctl\n"
        "if [ \"${funcstack[1]}\" = _udptunctl ]; then _bash_complete -F _udptunctl_words; fi");
}

/* The names of the daemon that the line being typed is about. */
static void print_fish_names(void)
{
    puts(
        "function __udptunctl_names\n"
        "  set -l words (commandline -opc)\n"
        "  set -l socket\n"
        "  for i in (seq 2 (count $words))\n"
        "    contains -- $words[$i] -s --socket; and set socket -s $words[(math $i + 1)]\n"
        "  end\n"
        "  udptunctl $socket completion names 2>/dev/null\n"
        "end");
}

static void print_fish_flag(const struct flag *flag, const char *condition)
{
    printf("complete -c udptunctl %s -l %s", condition, flag->name);
    if (flag->letter)
        printf(" -s %c", flag->letter);
    if (flag->kind != FLAG_BOOL)
        printf(takes_value(flag, true) ? " -r -F" : " -x");
    if (flag->words)
        printf(" -a '%s'", flag->words);
    fputs(" -d ", stdout);
    print_quoted(flag->help);
    putchar('\n');
    if (flag->kind == FLAG_BOOL && flag->field)
        printf("complete -c udptunctl %s -l no-%s\n", condition, flag->name);
}

static void print_fish(void)
{
    puts(
        "# fish completion of udptunctl\n"
        "complete -c udptunctl -f");
    print_fish_names();
    for (size_t i = 0; i < flag_count; i++)
        if (flags[i].groups & GROUP_ANY)
            print_fish_flag(&flags[i], "");
    for (size_t i = 0; i < command_count; i++) {
        const struct command *command = &commands[i];
        char condition[96];
        printf("complete -c udptunctl -n __fish_use_subcommand -a %s -d ", command->name);
        print_quoted(command->summary);
        putchar('\n');
        snprintf(condition, sizeof condition, "-n '__fish_seen_subcommand_from %s'", command->name);
        if (command->words)
            printf("complete -c udptunctl %s -a '%s'\n", condition, command->words);
        if (command->takes_name)
            printf("complete -c udptunctl %s -a '(__udptunctl_names)'\n", condition);
        for (size_t f = 0; f < flag_count; f++)
            if (flags[f].groups & command->groups)
                print_fish_flag(&flags[f], condition);
    }
}

static enum exit_status print_names(struct cli *cli)
{
    static const char *const kinds[] = {"udpTunnels", "tun2socks"};
    json_t *value;
    char *reply;
    struct udptun_error err;
    enum exit_status status = ask_quietly(cli, "getStatus", NULL, 0, &value, &reply, &err);
    for (size_t kind = 0; kind < 2; kind++) {
        size_t i;
        json_t *object;
        json_array_foreach(json_object_get(value, kinds[kind]), i, object)
        {
            puts(text_of(object, "name"));
        }
    }
    json_decref(value);
    udptun_client_free_text(reply);
    return status;
}

enum exit_status run_completion(struct cli *cli)
{
    static const struct {
        const char *shell;
        void (*print)(void);
    } shells[] = {{"bash", print_bash}, {"zsh", print_zsh}, {"fish", print_fish}};

    if (strcmp(cli->args[0], "names") == 0)
        return print_names(cli);
    for (size_t i = 0; i < sizeof shells / sizeof shells[0]; i++) {
        if (strcmp(shells[i].shell, cli->args[0]) == 0) {
            shells[i].print();
            return EXIT_OK;
        }
    }
    return complain(EXIT_USAGE, "completion: no script for %s; there is bash, zsh and fish",
                    cli->args[0]);
}
