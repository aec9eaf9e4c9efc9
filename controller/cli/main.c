/* SPDX-License-Identifier: Apache-2.0 */
/* main.c - udptunctl: from argv to an exit status. The other files are listed in cli.h. */
#include "controller/cli/cli.h"

#include <locale.h>
#include <string.h>

#include "daemon/platform/result.h"

int main(int argc, char **argv)
{
    struct cli cli = {0};
    setlocale(LC_CTYPE, "");
    output_init(&cli);
    enum exit_status status = parse_arguments(&cli, argc, argv);
    if (status == EXIT_OK && option_bool(&cli, "help"))
        print_help(stdout, cli.command_given ? cli.command : NULL);
    else if (status == EXIT_OK && option_bool(&cli, "version"))
        status = run_version(&cli);
    else if (status == EXIT_OK)
        status = cli.command->run(&cli);

    udptun_client_free(cli.client);
    json_decref(cli.fields);
    json_decref(cli.options);
    /* A full disk or a closed pipe is a failure, too. */
    if (fflush(stdout) != 0 && status == EXIT_OK)
        status = complain(EXIT_OTHER, "standard output: %s",
                          io_text(io_last(), (char[IO_TEXT_SIZE]){0}));
    return (int)status;
}
