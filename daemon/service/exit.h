/* SPDX-License-Identifier: Apache-2.0 */
/* exit.h - how a daemon ends, and what reading its command line led to. */
#ifndef SERVICE_EXIT_H
#define SERVICE_EXIT_H

enum daemon_exit {
    EXIT_OK = 0,
    EXIT_FAILED = 1,
    EXIT_USAGE = 2,
    EXIT_BAD_CONFIG = 3,
};

enum options_result {
    OPTIONS_RUN,
    OPTIONS_DONE,  /* --help or --version was answered */
    OPTIONS_USAGE, /* wrong, and said so on standard error */
};

#endif
