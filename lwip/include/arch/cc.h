/* SPDX-License-Identifier: Apache-2.0 */
/* cc.h - what lwIP wants to know of the compiler. */
#ifndef LWIP_ARCH_CC_H
#define LWIP_ARCH_CC_H

#include <stdlib.h>

#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
#define BYTE_ORDER 4321
#else
#define BYTE_ORDER 1234
#endif
#ifndef LITTLE_ENDIAN
#define LITTLE_ENDIAN 1234
#endif
#ifndef BIG_ENDIAN
#define BIG_ENDIAN 4321
#endif

/* A library prints nothing, and never ends the app's process; only a build with sanitizers stops
 * at lwIP's assertions. */
#define LWIP_PLATFORM_DIAG(x)                                                                      \
    do {                                                                                           \
    } while (0)
#ifdef UDPTUN_LWIP_ASSERT
#define LWIP_PLATFORM_ASSERT(x) __builtin_trap()
#else
#define LWIP_NOASSERT
#define LWIP_PLATFORM_ASSERT(x)                                                                    \
    do {                                                                                           \
    } while (0)
#endif

#endif
