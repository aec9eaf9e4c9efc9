# SPDX-License-Identifier: Apache-2.0
# Sockets, names, dialers, batched UDP and the target policy. Sets ENGINE_NET_SOURCES, and of those
# ENGINE_SOCKADDR_SOURCES.
set(ENGINE_SOCKADDR_SOURCES sockaddr.c)
set(ENGINE_NET_SOURCES
  url.c resolver.c resolver_ares.c dialer.c dial_attempts.c dial_socks5.c dial_http.c udp_sender.c policy.c)
if(CMAKE_SYSTEM_NAME MATCHES "Linux|Android" AND NOT UDPTUN_PORTABLE)
  list(APPEND ENGINE_SOCKADDR_SOURCES sockaddr_linux.c)
  list(APPEND ENGINE_NET_SOURCES netwatch_linux.c udp_io_linux.c udp_send_linux.c)
else()
  list(APPEND ENGINE_SOCKADDR_SOURCES sockaddr_posix.c)
  list(APPEND ENGINE_NET_SOURCES netwatch_none.c udp_io_portable.c)
endif()
list(APPEND ENGINE_NET_SOURCES ${ENGINE_SOCKADDR_SOURCES})
