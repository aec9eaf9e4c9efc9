/* SPDX-License-Identifier: Apache-2.0 */
/*
 * completion.c - completion scripts for bash, zsh and fish, from the tables. The scripts ask for
 * the names of objects as the user types, by "udptunctl completion names [tunnel:|tun2socks:]".
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

/* "-f|--file|..." of every flag that takes a value, the socket apart. */
static void print_value_flags(void)
{
    const char *separator = "      ";
    for (size_t i = 0; i < flag_count; i++) {
        if (flags[i].kind == FLAG_BOOL || strcmp(flags[i].name, "socket") == 0)
            continue;
        printf("%s--%s", separator, flags[i].name);
        separator = "|";
        if (flags[i].letter)
            printf("|-%c", flags[i].letter);
    }
}

/* The values of a flag for a shell's double quotes: words as they are, and behind "tunnel:" and
 * "tun2socks:" the names that the daemon has; `ask` is how this shell asks for them. */
static void print_values(const struct flag *flag, const char *ask)
{
    for (const char *word = flag->words; *word; word += strspn(word, " ")) {
        size_t len = strcspn(word, " ");
        printf("%s%.*s", word == flag->words ? "" : " ", (int)len, word);
        if (strncmp(word, "tunnel:", len) == 0 || strncmp(word, "tun2socks:", len) == 0)
            printf(" %s %.*s 2>/dev/null)", ask, (int)len, word);
        word += len;
    }
}

/*
 * Bash, and zsh in bash's manner. Bash splits words at ':' and '=', so they are put together first,
 * and of an answer only what follows the last colon is handed back.
 */
static void print_bash_function(void)
{
    puts(
        "_udptunctl_words() {\n"
        "  local line=() cur prev command= name= choice= socket= i glue=\n"
        "  COMPREPLY=()\n"
        "  for ((i = 0; i <= COMP_CWORD; i++)); do\n"
        "    if [[ ${#line[@]} -gt 0 && ( -n $glue || ${COMP_WORDS[i]} == [:=]* ) ]]; then\n"
        "      line[${#line[@]}-1]+=${COMP_WORDS[i]}\n"
        "    else\n"
        "      line+=(\"${COMP_WORDS[i]}\")\n"
        "    fi\n"
        "    glue=; [[ ${COMP_WORDS[i]} == *[:=] ]] && glue=1\n"
        "  done\n"
        "  cur=${line[${#line[@]}-1]}\n"
        "  prev=${line[${#line[@]}-2]}\n"
        "  for ((i = 1; i < ${#line[@]} - 1; i++)); do\n"
        "    case ${line[i]} in\n"
        "      -s|--socket) socket=${line[i+1]}; ((i++));;");
    print_value_flags();
    puts(
        ") ((i++));;\n"
        "      -*) ;;\n"
        "      *) if [[ -z $command ]]; then command=${line[i]}; else name=${line[i]}; fi;;\n"
        "    esac\n"
        "  done\n"
        "  case $prev in");
    for (size_t i = 0; i < flag_count; i++)
        if (flags[i].words) {
            printf("    --%s) choice=\"", flags[i].name);
            print_values(&flags[i], "$(udptunctl ${socket:+-s \"$socket\"} completion names");
            puts("\"; _udptunctl_offer; return;;");
        }
    print_value_case(true, "COMPREPLY=($(compgen -f -- \"$cur\"))");
    print_value_case(false, ":");
    puts(
        "  esac\n"
        "  case $command in");
    fputs("    '') choice='", stdout);
    for (size_t i = 0; i < command_count; i++)
        printf("%s%s", i ? " " : "", commands[i].name);
    fputs("'; [[ $cur == -* ]] && choice='", stdout);
    print_flag_words(GROUP_ANY);
    puts("';;");
    for (size_t i = 0; i < command_count; i++) {
        printf("    %s) choice='", commands[i].name);
        print_flag_words(GROUP_ANY | commands[i].groups);
        puts("'");
        if (commands[i].words)
            printf("      [[ -z $name && $cur != -* ]] && choice='%s'\n", commands[i].words);
        if (commands[i].takes_name)
            printf(
                "      [[ %s$cur != -* ]] && choice=$(udptunctl ${socket:+-s \"$socket\"} "
                "completion names 2>/dev/null)\n",
                commands[i].most_args > 1 ? "" : "-z $name && ");
        puts("      ;;");
    }
    puts(
        "  esac\n"
        "  _udptunctl_offer\n"
        "}\n"
        "_udptunctl_offer() {\n"
        "  COMPREPLY=($(compgen -W \"$choice\" -- \"$cur\"))\n"
        "  [[ $cur == *:* && $COMP_WORDBREAKS == *:* ]] && "
        "COMPREPLY=(\"${COMPREPLY[@]#\"${cur%\"${cur##*:}\"}\"}\")\n"
        "  [[ ${#COMPREPLY[@]} -eq 1 && ${COMPREPLY[0]} == *[:/] ]] && "
        "compopt -o nospace 2>/dev/null\n"
        "  return 0\n"
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
        "  udptunctl $socket completion names $argv 2>/dev/null\n"
        "end");
}

static void print_fish_flag(const struct flag *flag, const char *condition)
{
    printf("complete -c udptunctl %s -l %s", condition, flag->name);
    if (flag->letter)
        printf(" -s %c", flag->letter);
    if (flag->kind != FLAG_BOOL)
        printf(takes_value(flag, true) ? " -r -F" : " -x");
    if (flag->words) {
        fputs(" -a \"", stdout);
        print_values(flag, "(__udptunctl_names");
        fputs("\"", stdout);
    }
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

/* Names of objects, a line each: all, or of one kind with `prefix` ("tunnel:", "tun2socks:") in
 * front, as the value of a flag has them. */
static enum exit_status completion_print_names(struct cli *cli, const char *prefix)
{
    static const struct {
        const char *list;
        const char *prefix;
    } kinds[] = {{"udpTunnels", "tunnel:"}, {"tun2socks", "tun2socks:"}};
    json_t *value;
    char *reply;
    struct udptun_error err;
    enum exit_status status = ask_quietly(cli, "getStatus", NULL, 0, &value, &reply, &err);
    for (size_t kind = 0; kind < 2; kind++) {
        size_t i;
        json_t *object;
        if (prefix && strcmp(prefix, kinds[kind].prefix) != 0)
            continue;
        json_array_foreach(json_object_get(value, kinds[kind].list), i, object)
        {
            printf("%s%s\n", prefix ? prefix : "", text_of(object, "name"));
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
        return completion_print_names(cli, cli->arg_count > 1 ? cli->args[1] : NULL);
    for (size_t i = 0; i < sizeof shells / sizeof shells[0]; i++) {
        if (strcmp(shells[i].shell, cli->args[0]) == 0) {
            shells[i].print();
            return EXIT_OK;
        }
    }
    return complain(EXIT_USAGE,
                    "completion: there is no script for %s, only for bash, zsh and fish",
                    cli->args[0]);
}
