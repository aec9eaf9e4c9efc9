/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cli.h - what the files of udptunctl share.
 *
 *   main.c        from argv to an exit status
 *   commands.c    the one table of commands        flags.c   the one table of flags
 *   parse.c       argv by those tables             options.c what came of it
 *   values.c      the value of a flag as JSON     suggest.c the word that a mistyped one stands for
 *   help.c, completion.c   texts from the tables
 *   ask.c         a call to the daemon            failure.c what a failure is to the user
 *   output.c      terminal, colours, JSON          units.c, text_table.c  numbers and tables
 *   status_table.c   the table of what runs, for status.c and watch.c
 *   configure.c, status.c, watch.c, show.c, lists.c, ping.c, events.c, admin.c, top/   the commands
 *
 * Of two files only one knows the other: main, parse and the commands know ask, the texts and
 * the options; these know output, units and the tables; and those know nobody. Only help.c and
 * completion.c print the very table that names them.
 *
 * Every command is a function from a struct cli to an exit status. Flags are kept as JSON from
 * the start: those that are fields of an object in `fields`, ready to be sent, the others in
 * `options`.
 */
#ifndef CONTROLLER_CLI_H
#define CONTROLLER_CLI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <jansson.h>
#include <udptun/client.h>

enum exit_status {
    EXIT_OK = 0,
    EXIT_OTHER = 1,
    EXIT_USAGE = 2,
    EXIT_TIMEOUT = 3,
    EXIT_FAILED = 4, /* the daemon could not do it */
    EXIT_NOT_FOUND = 5,
    EXIT_CONFLICT = 6,
    EXIT_PERMISSION = 7,
    EXIT_NO_DAEMON = 8,
};

enum flag_kind {
    FLAG_BOOL, /* --x, --no-x */
    FLAG_INTEGER,
    FLAG_SECONDS, /* decimals allowed */
    FLAG_TEXT,
    FLAG_URL,      /* text, or @FILE: the first line of the file, as it may hold a password */
    FLAG_LIST,     /* comma-separated or repeated */
    FLAG_KEY_FILE, /* a path for the daemon, or "-" for standard input */
};

/* Which commands a flag belongs to: bits of flag.groups and command.groups. */
enum flag_group {
    GROUP_ANY = 1 << 0,
    GROUP_LOCAL = 1 << 1,
    GROUP_SERVER = 1 << 2,
    GROUP_TUN2SOCKS = 1 << 3,
    GROUP_STATUS = 1 << 4,
    GROUP_PING = 1 << 5,
    GROUP_FLOWS = 1 << 6,
    GROUP_APPLY = 1 << 7,
    GROUP_EXPORT = 1 << 8,
    GROUP_EVENTS = 1 << 9,
    GROUP_LOG = 1 << 10,
    GROUP_HELP = 1 << 11,
};

struct flag {
    const char *name; /* "resume-timeout" */
    char letter;      /* 'w', or 0 */
    enum flag_kind kind;
    const char *field;   /* of the object that is sent, "resumeTimeout"; NULL: an option */
    const char *metavar; /* "SECONDS"; NULL for FLAG_BOOL */
    unsigned groups;
    const char *help;
    const char *words; /* values to complete, separated by blanks, or NULL */
};

struct cli;

struct command {
    const char *name;
    const char *args;    /* "NAME", "[NAME]", "ACTION [JSON]", "" */
    const char *summary; /* one line */
    const char *details; /* for its help, or NULL */
    int least_args;
    int most_args;
    unsigned groups;
    bool takes_name;   /* the first argument is the name of an object */
    const char *words; /* values of the first argument, separated by blanks, or NULL */
    enum exit_status (*run)(struct cli *cli);
};

struct cli {
    const struct command *command;
    bool command_given; /* not only taken for want of one */
    char **args;        /* the command's own, without its name */
    int arg_count;
    json_t *fields;
    json_t *options;
    const json_t *sent_config; /* of apply, borrowed: errors speak of its objects by their place */
    udptun_client *client;     /* made when first needed */
    bool json;                 /* -j */
    bool colour;
    int width; /* of the terminal, 0: no terminal, no limit */
};

/* ---- tables ------------------------------------------------------------------------------------
 */

extern const struct command commands[];
extern const size_t command_count;
extern const struct flag flags[];
extern const size_t flag_count;

const struct command *command_find(const char *name);
/* By its name, or NULL. */
const struct flag *flag_find(const char *name);
/* The flag of a field of an object ("keyFile"), or NULL. */
const struct flag *flag_of_field(const char *field);

/* ---- parse.c -----------------------------------------------------------------------------------
 */

/* Fill `cli` from argv, whose order may change. EXIT_OK, or EXIT_USAGE after saying why. */
enum exit_status parse_arguments(struct cli *cli, int argc, char **argv);

/* ---- values.c ----------------------------------------------------------------------------------
 */

/* Store the value `text` of a flag in cli->fields or cli->options (NULL for FLAG_BOOL, which
 * `negated` makes false). EXIT_OK, or EXIT_USAGE after saying what is wrong. */
enum exit_status value_store(struct cli *cli, const struct flag *flag, const char *text,
                             bool negated);

/* ---- options.c ---------------------------------------------------------------------------------
 */

const char *option_text(const struct cli *cli, const char *name);
int64_t option_integer(const struct cli *cli, const char *name, int64_t fallback);
double option_seconds(const struct cli *cli, const char *name, double fallback);
bool option_given(const struct cli *cli, const char *name);
bool option_bool(const struct cli *cli, const char *name);

/* ---- ask.c -------------------------------------------------------------------------------------
 */

/* How long a call may take, by --timeout; `more_s`: what it takes beyond. */
int64_t cli_timeout_ms(const struct cli *cli, double more_s);

/* The client of this run, made now if need be; NULL after saying why. */
udptun_client *cli_client(struct cli *cli);

/* Likewise, before anything was asked, with `event` for the events of a subscription. */
udptun_client *cli_client_with_events(
    struct cli *cli, void (*event)(void *arg, udptun_client *client, const char *json), void *arg);

/*
 * Call the daemon with `parameters` (taken; NULL: none). EXIT_OK, with `*value` (if not NULL)
 * the returnValue, which the caller releases; else the failure was told, with -j the reply
 * printed. `more_s`: how much longer than usual it may take.
 */
enum exit_status ask(struct cli *cli, const char *action, json_t *parameters, double more_s,
                     json_t **value);

/* Likewise without a word of failure; `err` has it. */
enum exit_status ask_quietly(struct cli *cli, const char *action, json_t *parameters, double more_s,
                             json_t **value, char **reply, struct udptun_error *err);

/* ---- failure.c ---------------------------------------------------------------------------------
 */

enum exit_status exit_status_of(const struct udptun_error *err, bool replied);

/* Tell of a failure, what to do included. Returns its exit status. */
enum exit_status tell_failure(struct cli *cli, const struct udptun_error *err, const char *reply);

/* ---- output.c ----------------------------------------------------------------------------------
 */

enum colour {
    COLOUR_NONE,
    COLOUR_BOLD,
    COLOUR_DIM,
    COLOUR_GREEN,
    COLOUR_YELLOW,
    COLOUR_RED,
};

/* Look at the terminal: colour, width. */
void output_init(struct cli *cli);
/* The sequences around coloured text, "" without colours. */
const char *colour_on(bool coloured, enum colour colour);
const char *colour_off(bool coloured, enum colour colour);
enum colour colour_of_state(const char *state);

/* "udptunctl: " and the text on standard error. Returns `status`. */
enum exit_status complain(enum exit_status status, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* For people on a terminal indented, else on one line. */
void print_json(const struct cli *cli, const json_t *value);

/* Text that came from elsewhere, fit for a terminal: control characters become '?'. */
void print_clean(FILE *to, const char *text);

/* A line with the reason if what `value` reports is not on the daemon's disk yet. */
void print_unwritten(const json_t *value);

/* ---- units.c -----------------------------------------------------------------------------------
 */

#define UNIT_TEXT_SIZE 32

/* "999 B", "1.2 kB", "34 MB" */
char *unit_bytes(uint64_t bytes, char text[UNIT_TEXT_SIZE]);
/* "999", "1.2k", "34M" */
char *unit_count(uint64_t count, char text[UNIT_TEXT_SIZE]);
/* "0.42 ms", "12.3 ms", "1.2 s" */
char *unit_ms(double ms, char text[UNIT_TEXT_SIZE]);
/* "5s", "2m 5s", "1h 2m", "3d 4h" */
char *unit_seconds(uint64_t s, char text[UNIT_TEXT_SIZE]);

/* ---- fields of replies -------------------------------------------------------------------------
 */

/* "" when absent. */
const char *text_of(const json_t *object, const char *field);
/* 0 when absent. */
uint64_t number_of(const json_t *object, const char *field);
/* The sum of the causes in "dropped". */
uint64_t dropped_of(const json_t *object);

/* ---- texts
 * --------------------------------------------------------------------------------------- */

void print_help(FILE *to, const struct command *command); /* NULL: of udptunctl */

/* ---- commands
 * ------------------------------------------------------------------------------------ */

enum exit_status run_status(struct cli *cli);
enum exit_status run_watch(struct cli *cli); /* of "status --watch" */
/* What a getStatus returned, as a table (status_table.c). */
void print_status(const struct cli *cli, const json_t *status);
enum exit_status run_top(struct cli *cli);
enum exit_status run_show(struct cli *cli);
enum exit_status run_local(struct cli *cli);
enum exit_status run_server(struct cli *cli);
enum exit_status run_tun2socks(struct cli *cli);
enum exit_status run_remove(struct cli *cli);
enum exit_status run_sessions(struct cli *cli);
enum exit_status run_flows(struct cli *cli);
enum exit_status run_ping(struct cli *cli);
enum exit_status run_apply(struct cli *cli);
enum exit_status run_export(struct cli *cli);
enum exit_status run_events(struct cli *cli);
enum exit_status run_metrics(struct cli *cli);
enum exit_status run_log_level(struct cli *cli);
enum exit_status run_reload(struct cli *cli);
enum exit_status run_shutdown(struct cli *cli);
enum exit_status run_genkey(struct cli *cli);
enum exit_status run_version(struct cli *cli);
enum exit_status run_call(struct cli *cli);
enum exit_status run_completion(struct cli *cli);
enum exit_status run_help(struct cli *cli);

#endif
