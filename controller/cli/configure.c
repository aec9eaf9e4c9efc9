/* SPDX-License-Identifier: Apache-2.0 */
/* configure.c - local, server, tun2socks, remove. */
#include "controller/cli/cli.h"

#include <string.h>

/* "home: established, at udp://127.0.0.1:5353" */
static void print_outcome(const struct cli *cli, const json_t *value, const char *kind)
{
    const json_t *status = json_object_get(value, kind);
    const char *state = text_of(status, "state");
    const char *listen = text_of(status, "listen");
    const char *error = text_of(status, "lastError");
    enum colour colour = colour_of_state(state);

    print_clean(stdout, cli->args[0]);
    printf(": %s%s%s", colour_on(cli->colour, colour), state[0] ? state : "configured",
           colour_off(cli->colour, colour));
    if (listen[0]) {
        printf(", at ");
        print_clean(stdout, listen);
    }
    if (!json_is_true(json_object_get(value, "changed")))
        printf(" (as it was)");
    if (json_is_false(json_object_get(value, "persistent")) && !text_of(value, "unwritten")[0] &&
        !json_is_true(json_object_get(cli->fields, "ephemeral")))
        printf(" (not kept over a restart)");
    putchar('\n');
    if (error[0] && colour != COLOUR_GREEN) {
        printf("  last error: ");
        print_clean(stdout, error);
        putchar('\n');
    }
    print_unwritten(value);
}

/* Merged, with the role: a name that is new takes the defaults, one that is there keeps what no
 * flag names. */
static enum exit_status configure_object(struct cli *cli, const char *action, const char *role,
                                         const char *kind)
{
    json_t *object = json_deep_copy(cli->fields);
    json_object_set_new(object, "name", json_string(cli->args[0]));
    json_object_set_new(object, "merge", json_true());
    if (role)
        json_object_set_new(object, "role", json_string(role));
    int64_t wait_s = option_integer(cli, "wait", 0);
    if (wait_s > 0)
        json_object_set_new(object, "wait", json_integer(wait_s));

    json_t *value;
    enum exit_status status = ask(cli, action, object, (double)wait_s, &value);
    if (status != EXIT_OK)
        return status;
    if (cli->json)
        print_json(cli, value);
    else
        print_outcome(cli, value, kind);
    json_decref(value);
    return EXIT_OK;
}

enum exit_status run_local(struct cli *cli)
{
    return configure_object(cli, "configureUdpTunnel", "local", "tunnel");
}

enum exit_status run_server(struct cli *cli)
{
    return configure_object(cli, "configureUdpTunnel", "server", "tunnel");
}

enum exit_status run_tun2socks(struct cli *cli)
{
    return configure_object(cli, "configureTun2socks", NULL, "tun2socks");
}

/* One namespace holds both kinds, so the status tells which action removes the name. */
static bool configure_is_tun2socks(struct cli *cli, const char *name)
{
    json_t *value;
    char *reply;
    struct udptun_error err;
    ask_quietly(cli, "getStatus", json_pack("{s:s}", "name", name), 0, &value, &reply, &err);
    bool found = json_array_size(json_object_get(value, "tun2socks")) > 0;
    json_decref(value);
    udptun_client_free_text(reply);
    return found;
}

static enum exit_status remove_one(struct cli *cli, const char *name)
{
    json_t *parameters = json_pack("{s:s}", "name", name);
    if (!parameters)
        return complain(EXIT_USAGE, "remove: the name is not UTF-8 text");
    json_t *value;
    enum exit_status status =
        ask(cli, configure_is_tun2socks(cli, name) ? "removeTun2socks" : "removeUdpTunnel",
            parameters, 0, &value);
    if (status != EXIT_OK)
        return status;
    if (cli->json) {
        print_json(cli, value);
    } else {
        print_clean(stdout, name);
        puts(json_is_true(json_object_get(value, "changed")) ? ": removed" : ": does not exist");
        print_unwritten(value);
    }
    json_decref(value);
    return EXIT_OK;
}

/* All are tried, in the order given; the exit status is that of the first failure. */
enum exit_status run_remove(struct cli *cli)
{
    enum exit_status first = EXIT_OK;
    if (!cli_client(cli))
        return EXIT_OTHER;
    for (int i = 0; i < cli->arg_count; i++) {
        enum exit_status status = remove_one(cli, cli->args[i]);
        if (first == EXIT_OK)
            first = status;
        if (status == EXIT_NO_DAEMON)
            break;
    }
    return first;
}
