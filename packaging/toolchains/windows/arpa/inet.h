/* SPDX-License-Identifier: Apache-2.0 */
/* arpa/inet.h - where Windows has inet_pton() and the byte orders. */
#ifndef WINDOWS_ARPA_INET_H
#define WINDOWS_ARPA_INET_H

#include <winsock2.h>
#include <ws2tcpip.h>

#endif
