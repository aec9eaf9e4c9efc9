# SPDX-License-Identifier: Apache-2.0
# Sockets, names, dialers, batched UDP and the target policy. Sets ENGINE_NET_SOURCES.
option(UDPTUN_PORTABLE_UDP "Use the portable UDP file even where a faster one exists" OFF)
set(ENGINE_NET_SOURCES
  sockaddr.c sockaddr_linux.c url.c resolver.c resolver_ares.c dialer.c dial_attempts.c dial_socks5.c dial_http.c udp_sender.c policy.c)
if(CMAKE_SYSTEM_NAME STREQUAL "Linux")
  list(APPEND ENGINE_NET_SOURCES netwatch_linux.c)
else()
  list(APPEND ENGINE_NET_SOURCES netwatch_none.c)
endif()
if(CMAKE_SYSTEM_NAME STREQUAL "Linux" AND NOT UDPTUN_PORTABLE_UDP)
  list(APPEND ENGINE_NET_SOURCES udp_io_linux.c udp_send_linux.c)
else()
  list(APPEND ENGINE_NET_SOURCES udp_io_portable.c)
endif()
