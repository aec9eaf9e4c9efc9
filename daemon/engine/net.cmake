# SPDX-License-Identifier: Apache-2.0
# Names, dialers and the target policy. Sets ENGINE_NET_SOURCES.
set(ENGINE_NET_SOURCES
  settings/policy.c
  settings/url.c
  streams/dial_attempts.c
  streams/dial_http.c
  streams/dial_socks5.c
  streams/dialer.c
  streams/resolver.c
  streams/resolver_entry.c)
