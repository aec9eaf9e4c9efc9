/* SPDX-License-Identifier: Apache-2.0 */
/* none.c - "top" in a build without ncurses. */
#include "controller/cli/cli.h"

enum exit_status run_top(struct cli *cli)
{
    (void)cli;
    return complain(EXIT_OTHER,
                    "top: this udptunctl was built without ncurses. "
                    "Without it: udptunctl status -w");
}
