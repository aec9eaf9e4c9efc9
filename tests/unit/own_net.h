/* SPDX-License-Identifier: Apache-2.0 */
/*
 * own_net.h - a network and name settings of the test's own, so that nothing of the machine's
 * shows through: a fresh network namespace with loopback up, and files laid over /etc/hosts and
 * /etc/resolv.conf in a fresh mount namespace.
 */
#ifndef TESTS_UNIT_OWN_NET_H
#define TESTS_UNIT_OWN_NET_H

#include <stdbool.h>

/* To be called first in main(), before any thread. False where the system forbids namespaces. */
bool own_net_enter(void);

/* Lay `text` over a file of /etc, once or again. */
bool own_net_file(const char *path, const char *text);

#endif
