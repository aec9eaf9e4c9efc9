/* SPDX-License-Identifier: Apache-2.0 */
/* terminal.c - see terminal.h. */
#include "daemon/platform/terminal.h"

#include <sys/ioctl.h>
#include <unistd.h>

bool terminal_of_output(unsigned *columns)
{
    struct winsize size;
    *columns = 0;
    if (!isatty(STDOUT_FILENO))
        return false;
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0)
        *columns = size.ws_col;
    return true;
}
