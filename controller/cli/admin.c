/* SPDX-License-Identifier: Apache-2.0 */
/* admin.c - the daemon as a whole: config, metrics, log, life; keys, versions, raw calls. */
#include "controller/cli/cli.h"

#include <string.h>

#include <sodium.h>

#include "daemon/platform/result.h"
#include "proto/version.h"

#define KEY_SIZE 32

/* A call whose success is silent, except with -j. */
static enum exit_status do_quietly(struct cli *cli, const char *action, json_t *parameters)
{
    json_t *value;
    enum exit_status status = ask(cli, action, parameters, 0, &value);
    if (status == EXIT_OK && cli->json)
        print_json(cli, value);
    json_decref(value);
    return status;
}

/* A JSON object from a file, or from standard input for "-". EXIT_OK, or says what is wrong. */
static enum exit_status read_object(const char *path, const char *what, json_t **object)
{
    json_error_t where;
    bool standard_input = strcmp(path, "-") == 0;
    FILE *file = standard_input ? stdin : fopen(path, "re");
    if (!file)
        return complain(EXIT_OTHER, "%s: %s: %s", what, path,
                        io_text(io_last(), (char[IO_TEXT_SIZE]){0}));
    *object = json_loadf(file, JSON_REJECT_DUPLICATES, &where);
    if (!standard_input)
        fclose(file);
    if (json_is_object(*object))
        return EXIT_OK;
    const char *name = standard_input ? "standard input" : path;
    if (*object) {
        json_decref(*object);
        return complain(EXIT_USAGE, "%s: %s: not a JSON object", what, name);
    }
    return complain(EXIT_USAGE, "%s: %s, line %d: %s", what, name, where.line, where.text);
}

/* "created: a, b" */
static void admin_print_names(const json_t *value, const char *field)
{
    const json_t *names = json_object_get(value, field);
    if (json_array_size(names) == 0)
        return;
    printf("%s:", field);
    size_t i;
    json_t *name;
    json_array_foreach(names, i, name)
    {
        fputs(i ? ", " : " ", stdout);
        print_clean(stdout, json_string_value(name) ? json_string_value(name) : "?");
    }
    putchar('\n');
}

enum exit_status run_apply(struct cli *cli)
{
    const char *path = option_text(cli, "file");
    if (!path)
        return complain(EXIT_USAGE, "apply: wants -f FILE. See: udptunctl help apply");
    json_t *config;
    enum exit_status status = read_object(path, "apply", &config);
    if (status != EXIT_OK)
        return status;
    bool dry_run = option_bool(cli, "dry-run");
    json_t *parameters = json_pack("{s:o,s:b,s:b}", "config", config, "prune",
                                   option_bool(cli, "prune"), "dryRun", dry_run);
    json_t *value;
    cli->sent_config = json_incref(config);
    status = ask(cli, "applyConfig", parameters, 0, &value);
    json_decref(config);
    cli->sent_config = NULL;
    if (status == EXIT_OK && cli->json) {
        print_json(cli, value);
    } else if (status == EXIT_OK) {
        static const char *const fields[] = {"created", "changed", "removed"};
        size_t count = 0;
        for (size_t i = 0; i < 3; i++) {
            admin_print_names(value, fields[i]);
            count += json_array_size(json_object_get(value, fields[i]));
        }
        if (count == 0)
            puts("nothing to change");
        else if (dry_run)
            puts("(not done: --dry-run)");
        print_unwritten(value);
    }
    json_decref(value);
    return status;
}

enum exit_status run_export(struct cli *cli)
{
    json_t *value;
    bool secrets = option_bool(cli, "show-secrets");
    json_t *parameters = secrets ? json_pack("{s:b}", "showSecrets", 1) : NULL;
    enum exit_status status = ask(cli, "exportConfig", parameters, 0, &value);
    if (status == EXIT_OK && cli->json) {
        print_json(cli, value);
    } else if (status == EXIT_OK) {
        json_dumpf(value ? value : json_null(), stdout,
                   JSON_INDENT(2) | JSON_ENCODE_ANY | JSON_REAL_PRECISION(15));
        putchar('\n');
    }
    json_decref(value);
    return status;
}

enum exit_status run_metrics(struct cli *cli)
{
    json_t *value;
    enum exit_status status = ask(cli, "getMetrics", NULL, 0, &value);
    if (status == EXIT_OK && cli->json)
        print_json(cli, value);
    else if (status == EXIT_OK && json_is_string(value))
        fputs(json_string_value(value), stdout);
    json_decref(value);
    return status;
}

enum exit_status run_log_level(struct cli *cli)
{
    json_t *parameters = json_pack("{s:s}", "level", cli->args[0]);
    const char *module = option_text(cli, "module");
    if (module)
        json_object_set_new(parameters, "module", json_string(module));
    return do_quietly(cli, "setLogLevel", parameters);
}

enum exit_status run_reload(struct cli *cli)
{
    return do_quietly(cli, "reloadConfig", NULL);
}

enum exit_status run_shutdown(struct cli *cli)
{
    return do_quietly(cli, "shutdown", NULL);
}

enum exit_status run_genkey(struct cli *cli)
{
    unsigned char key[KEY_SIZE];
    char text[sodium_base64_ENCODED_LEN(KEY_SIZE, sodium_base64_VARIANT_ORIGINAL)];
    if (sodium_init() < 0)
        return complain(EXIT_OTHER, "genkey: the system has no random numbers");
    randombytes_buf(key, sizeof key);
    sodium_bin2base64(text, sizeof text, key, sizeof key, sodium_base64_VARIANT_ORIGINAL);
    if (cli->json)
        printf("{\"key\":\"%s\"}\n", text);
    else
        puts(text);
    sodium_memzero(key, sizeof key);
    sodium_memzero(text, sizeof text);
    return EXIT_OK;
}

/* No daemon is no failure here. */
enum exit_status run_version(struct cli *cli)
{
    json_t *value;
    char *reply;
    struct udptun_error err;
    ask_quietly(cli, "hello", NULL, 0, &value, &reply, &err);
    if (cli->json) {
        json_t *both = json_pack("{s:s,s:O*}", "udptunctl", UDPTUN_VERSION, "udptund",
                                 json_object_get(value, "version"));
        print_json(cli, both);
        json_decref(both);
    } else {
        printf("udptunctl %s\n", UDPTUN_VERSION);
        if (value) {
            fputs("udptund ", stdout);
            print_clean(stdout, text_of(value, "version"));
            putchar('\n');
        } else {
            puts("udptund does not answer");
        }
    }
    json_decref(value);
    udptun_client_free_text(reply);
    return EXIT_OK;
}

enum exit_status run_call(struct cli *cli)
{
    json_t *parameters = NULL;
    if (cli->arg_count > 1 && strcmp(cli->args[1], "-") == 0) {
        enum exit_status status = read_object("-", "call", &parameters);
        if (status != EXIT_OK)
            return status;
    } else if (cli->arg_count > 1) {
        json_error_t where;
        parameters = json_loads(cli->args[1], JSON_REJECT_DUPLICATES, &where);
        if (!parameters)
            return complain(EXIT_USAGE, "call: the parameters are not valid JSON, column %d: %s",
                            where.column, where.text);
        if (!json_is_object(parameters)) {
            json_decref(parameters);
            return complain(EXIT_USAGE, "call: the parameters must be a JSON object");
        }
    }
    /* A call that waits says so itself. */
    double more_s = json_number_value(json_object_get(parameters, "wait"));
    json_t *value;
    enum exit_status status = ask(cli, cli->args[0], parameters, more_s, &value);
    if (status == EXIT_OK && (value || cli->json))
        print_json(cli, value);
    json_decref(value);
    return status;
}
