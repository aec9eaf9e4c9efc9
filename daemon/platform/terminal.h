/* SPDX-License-Identifier: Apache-2.0 */
/* terminal.h - what standard output is shown on. */
#ifndef PLATFORM_TERMINAL_H
#define PLATFORM_TERMINAL_H

#include <stdbool.h>

/* Whether standard output is a terminal. `*columns` is its width, 0: not known. */
bool terminal_of_output(unsigned *columns);

#endif
