/* SPDX-License-Identifier: Apache-2.0 */
/* io_code.c - failures of the system as codes of ours; the same on every system. */
#include "daemon/platform/result.h"

int io_code(enum io what)
{
    switch (what) {
    case IO_OK:
        return UDPTUN_OK;
    case IO_REFUSED:
    case IO_HOST_UNREACHABLE:
    case IO_NET_UNREACHABLE:
    case IO_RESET:
    case IO_CLOSED:
    case IO_ABORTED:
    case IO_PROTOCOL:
        return UDPTUN_E_UNREACHABLE;
    case IO_TIMED_OUT:
        return UDPTUN_E_TIMEOUT;
    case IO_DENIED:
        return UDPTUN_E_PERMISSION;
    case IO_IN_USE:
        return UDPTUN_E_PORT_IN_USE;
    case IO_NO_ADDRESS:
    case IO_NO_FAMILY:
    case IO_NOT_FOUND:
    case IO_BAD_NAME:
    case IO_TOO_BIG:
    case IO_INVALID:
        return UDPTUN_E_INVALID;
    case IO_NO_MEMORY:
        return UDPTUN_E_NOMEM;
    case IO_UNSUPPORTED:
        return UDPTUN_E_UNSUPPORTED;
    case IO_AGAIN:
    case IO_NO_DEVICE:
    case IO_FULL:
    case IO_FAILED:
        return UDPTUN_E_SYSTEM;
    }
    return UDPTUN_E_SYSTEM;
}
