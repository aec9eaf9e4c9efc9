#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The status of udptund through libudptun-client and ctypes.

    status.py [SOCKET]

Strings that the library gives out are freed with udptun_client_free_text(), so they are taken as
void pointers here and copied.
"""

import ctypes
import json
import os
import sys

# From a build folder: UDPTUN_LIB=build/lib. Installed, the loader finds it.
library = ctypes.CDLL(os.path.join(os.environ.get("UDPTUN_LIB", ""), "libudptun-client.so.0"))


class Error(ctypes.Structure):  # struct udptun_error
    _fields_ = [("code", ctypes.c_int), ("sys_errno", ctypes.c_int),
                ("field", ctypes.c_char * 64), ("message", ctypes.c_char * 256)]


library.udptun_client_new.restype = ctypes.c_void_p
library.udptun_client_new.argtypes = [ctypes.c_void_p, ctypes.POINTER(Error)]
library.udptun_client_free.argtypes = [ctypes.c_void_p]
library.udptun_client_free_text.argtypes = [ctypes.c_void_p]
library.udptun_client_get_status.argtypes = [ctypes.c_void_p, ctypes.c_char_p,
                                             ctypes.POINTER(ctypes.c_void_p),
                                             ctypes.POINTER(Error)]


def main():
    if len(sys.argv) > 1:
        os.environ["UDPTUND_SOCKET"] = sys.argv[1]
    error = Error()
    client = library.udptun_client_new(None, ctypes.byref(error))
    if not client:
        sys.exit(error.message.decode())
    text = ctypes.c_void_p()
    code = library.udptun_client_get_status(client, None, ctypes.byref(text), ctypes.byref(error))
    if code == 0:
        status = json.loads(ctypes.string_at(text).decode())
        library.udptun_client_free_text(text)
        print(f"udptund {status['version']}, health {status['health']}")
        for tunnel in status["udpTunnels"]:
            print(f"  {tunnel['name']}: {tunnel['state']}, {tunnel['flows']} flows")
    library.udptun_client_free(client)
    if code != 0:
        sys.exit(error.message.decode())


if __name__ == "__main__":
    main()
