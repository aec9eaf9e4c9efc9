# SPDX-License-Identifier: Apache-2.0
# Sockets, names, dialers, batched UDP and the target policy. Sets ENGINE_NET_SOURCES, and of those
# ENGINE_SOCKADDR_SOURCES.
set(ENGINE_SOCKADDR_SOURCES ../platform/sockaddr.c)
set(ENGINE_NET_SOURCES
  settings/url.c streams/resolver.c streams/resolver_ares.c streams/dialer.c streams/dial_attempts.c streams/dial_socks5.c streams/dial_http.c ../platform/udp_sender.c settings/policy.c)
if(CMAKE_SYSTEM_NAME MATCHES "Linux|Android" AND NOT UDPTUN_PORTABLE)
  list(APPEND ENGINE_SOCKADDR_SOURCES ../platform/linux/sockaddr.c)
  list(APPEND ENGINE_NET_SOURCES ../platform/linux/netwatch.c ../platform/linux/udp_io.c ../platform/linux/udp_send.c)
else()
  list(APPEND ENGINE_SOCKADDR_SOURCES ../platform/posix/sockaddr.c)
  list(APPEND ENGINE_NET_SOURCES ../platform/posix/netwatch.c ../platform/posix/udp_io.c)
endif()
list(APPEND ENGINE_NET_SOURCES ${ENGINE_SOCKADDR_SOURCES})
