/* SPDX-License-Identifier: Apache-2.0 */
/* posix.h - included before everything else on Windows: what POSIX calls otherwise. */
#ifndef WINDOWS_POSIX_H
#define WINDOWS_POSIX_H

#include <string.h>

#define strerror_r(number, text, size) strerror_s(text, size, number)

#endif
