# SPDX-License-Identifier: Apache-2.0
# core.cmake - UDPTUN_CORE: the protocol and tun2socks, which name no socket, file or clock, and their
# tests. For a platform whose sockets the engine does not know; libsodium is all they need.
include(CTest)
enable_testing()
pkg_check_modules(CMOCKA REQUIRED IMPORTED_TARGET cmocka)
add_subdirectory(proto)
add_subdirectory(lwip)
if(NOT LWIP_FOUND)
  message(FATAL_ERROR "tun2socks needs lwIP's source: run lwip/fetch or give -DLWIP_DIR=")
endif()
add_subdirectory(tun2socks)
add_subdirectory(tests/unit)
add_subdirectory(tests/sim)
