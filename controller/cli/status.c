/* SPDX-License-Identifier: Apache-2.0 */
/* status.c - "status": the table of what runs (status_table.c), or watch.c to keep it up to date.
 */
#include "controller/cli/cli.h"

enum exit_status run_status(struct cli *cli)
{
    if (option_bool(cli, "watch"))
        return run_watch(cli);
    json_t *parameters = cli->arg_count > 0 ? json_pack("{s:s}", "name", cli->args[0]) : NULL;
    json_t *value;
    enum exit_status status = ask(cli, "getStatus", parameters, 0, &value);
    if (status == EXIT_OK && cli->json)
        print_json(cli, value);
    else if (status == EXIT_OK)
        print_status(cli, value);
    json_decref(value);
    return status;
}
