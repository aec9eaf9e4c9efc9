/* SPDX-License-Identifier: Apache-2.0 */
/*
 * failure.c - what a failed call is to the user: an exit status, and what happened, why, and what
 * to do. The daemon names fields; here they become the flags that were typed, and the place in a
 * config file becomes the name of the object that stands there.
 */
#include "controller/cli/suggest.h"

#include <stdlib.h>
#include <string.h>

#include "controller/cli/cli.h"

#define TEXT_SIZE 512

enum exit_status exit_status_of(const struct udptun_error *err, bool replied)
{
    switch ((enum udptun_code)err->code) {
    case UDPTUN_OK:
        return EXIT_OK;
    case UDPTUN_E_TIMEOUT:
        return EXIT_TIMEOUT;
    case UDPTUN_E_NOT_FOUND:
        return EXIT_NOT_FOUND;
    case UDPTUN_E_CONFLICT:
    case UDPTUN_E_EXISTS:
        return EXIT_CONFLICT;
    case UDPTUN_E_PERMISSION:
        return EXIT_PERMISSION;
    case UDPTUN_E_UNREACHABLE:
        return replied ? EXIT_FAILED : EXIT_NO_DAEMON;
    case UDPTUN_E_NOMEM:
    case UDPTUN_E_CANCELLED:
        return EXIT_OTHER;
    case UDPTUN_E_UNEXPECTED:
    case UDPTUN_E_AUTH:
    case UDPTUN_E_INVALID:
    case UDPTUN_E_ROUTING:
    case UDPTUN_E_SYSTEM:
    case UDPTUN_E_LIMIT:
    case UDPTUN_E_PORT_IN_USE:
    case UDPTUN_E_UNSUPPORTED:
    case UDPTUN_E_BAD_REQUEST:
        break;
    }
    return replied ? EXIT_FAILED : EXIT_OTHER;
}

/* The name of an object that resembles the one that was not found, or NULL. Borrowed from
 * `status`. */
static const char *similar_name(const json_t *status, const char *name)
{
    static const char *const kinds[] = {"udpTunnels", "tun2socks"};
    struct suggestion suggestion;
    suggest_init(&suggestion, name);
    for (size_t kind = 0; kind < sizeof kinds / sizeof kinds[0]; kind++) {
        size_t i;
        json_t *object;
        json_array_foreach(json_object_get(status, kinds[kind]), i, object)
        {
            suggest_from(&suggestion, text_of(object, "name"));
        }
    }
    return suggestion.best;
}

static void advise_on_name(struct cli *cli, char advice[TEXT_SIZE])
{
    json_t *status = NULL;
    char *reply = NULL;
    struct udptun_error err;
    const char *similar = NULL;
    if (cli->command->takes_name && cli->arg_count > 0) {
        ask_quietly(cli, "getStatus", NULL, 0, &status, &reply, &err);
        similar = similar_name(status, cli->args[0]);
    }
    if (similar)
        snprintf(advice, TEXT_SIZE, ". Did you mean %s?", similar);
    else
        snprintf(advice, TEXT_SIZE, " (udptunctl status lists what there is)");
    json_decref(status);
    udptun_client_free_text(reply);
}

/* A sentence on what to do, or "". */
static void advise(struct cli *cli, const struct udptun_error *err, bool replied,
                   char advice[TEXT_SIZE])
{
    advice[0] = '\0';
    if (replied) {
        if (err->code == UDPTUN_E_NOT_FOUND)
            advise_on_name(cli, advice);
        return;
    }
    const char *text = "";
    if (err->code == UDPTUN_E_UNREACHABLE)
        text = ". Is udptund running? (systemctl status udptund; another socket: -s)";
    if (err->code == UDPTUN_E_PERMISSION)
        text = ". Only root and the group udptun may open it (usermod -aG udptun USER)";
    if (err->code == UDPTUN_E_TIMEOUT)
        text = ". Wait longer with --timeout";
    snprintf(advice, TEXT_SIZE, "%s", text);
}

/* The flag whose field the message is about ("keyFile: ..."), or NULL. `field_len`: how much of
 * the message names the field. */
static const struct flag *flag_at_fault(const struct cli *cli, const char *message,
                                        size_t *field_len)
{
    char field[64];
    *field_len = strcspn(message, ":[ ");
    if (*field_len >= sizeof field || (message[*field_len] != ':' && message[*field_len] != '['))
        return NULL;
    memcpy(field, message, *field_len);
    field[*field_len] = '\0';
    /* A key is never typed; --key-file is. */
    const struct flag *flag = flag_of_field(strcmp(field, "key") == 0 ? "keyFile" : field);
    return flag && (flag->groups & cli->command->groups) ? flag : NULL;
}

/* The name of the object of the config file that the error is about, or "". */
static const char *object_at_fault(const json_t *config, const char *field)
{
    static const char mark[] = "config.";
    char list[32];
    const char *place = strstr(field, mark);
    if (!config || !place)
        return "";
    place += sizeof mark - 1;
    size_t len = strcspn(place, "[");
    if (len >= sizeof list || !place[len])
        return "";
    memcpy(list, place, len);
    list[len] = '\0';
    size_t at = strtoul(place + len + 1, NULL, 10);
    return text_of(json_array_get(json_object_get(config, list), at), "name");
}

/* Append `"field"` of the daemon's words as the flag, anything else as it is. */
static void append_quoted(const struct cli *cli, const char **at, char text[TEXT_SIZE])
{
    char field[64] = "";
    int len = 0;
    size_t used = strlen(text);
    const struct flag *flag = NULL;
    if (sscanf(*at, "\"%63[A-Za-z0-9]\"%n", field, &len) == 1 && len > 0)
        flag = flag_of_field(field);
    if (flag && (flag->groups & cli->command->groups)) {
        snprintf(text + used, TEXT_SIZE - used, "--%s", flag->name);
        *at += len;
    } else {
        snprintf(text + used, TEXT_SIZE - used, "%c", *(*at)++);
    }
}

/* The message in the words of the command line. */
static void reword(const struct cli *cli, const struct udptun_error *err, char text[TEXT_SIZE])
{
    size_t field_len;
    const struct flag *flag = flag_at_fault(cli, err->message, &field_len);
    const char *object = object_at_fault(cli->sent_config, err->field);
    if (flag)
        snprintf(text, TEXT_SIZE, "--%s", flag->name);
    else
        snprintf(text, TEXT_SIZE, "%s%s", object, object[0] ? ": " : "");
    for (const char *at = err->message + (flag ? field_len : 0); *at;)
        append_quoted(cli, &at, text);
}

/* The reply, or without one an object of the same form. */
static void print_failure(const struct cli *cli, const struct udptun_error *err, const char *reply)
{
    json_t *root =
        reply ? json_loads(reply, 0, NULL)
              : json_pack("{s:i,s:s,s:{s:s}}", "statusCode", -err->code, "errorMessage",
                          err->message, "error", "code", udptun_client_code_name(err->code));
    print_json(cli, root);
    json_decref(root);
}

enum exit_status tell_failure(struct cli *cli, const struct udptun_error *err, const char *reply)
{
    char text[TEXT_SIZE], advice[TEXT_SIZE];
    if (cli->json)
        print_failure(cli, err, reply);
    reword(cli, err, text);
    advise(cli, err, reply != NULL, advice);
    return complain(exit_status_of(err, reply != NULL), "%s%s", text, advice);
}
