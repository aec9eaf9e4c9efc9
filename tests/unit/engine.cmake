# SPDX-License-Identifier: Apache-2.0

# The network modules; each names its sources, so that both UDP files are tested.
set(ENGINE_DIR ${CMAKE_SOURCE_DIR}/daemon/engine)
set(SOCKADDR_SOURCES ${CMAKE_SOURCE_DIR}/daemon/platform/sockaddr.c ${CMAKE_SOURCE_DIR}/daemon/platform/linux/sockaddr.c)
set(SOCKADDR_POSIX_SOURCES ${CMAKE_SOURCE_DIR}/daemon/platform/sockaddr.c ${CMAKE_SOURCE_DIR}/daemon/platform/posix/sockaddr.c)
unit_test(udp_io_linux test_udp_io.c ${CMAKE_SOURCE_DIR}/daemon/platform/linux/udp_io.c ${CMAKE_SOURCE_DIR}/daemon/platform/linux/udp_send.c
          ${CMAKE_SOURCE_DIR}/daemon/platform/udp_sender.c ${SOCKADDR_SOURCES} LIBS proto_objects)
target_compile_definitions(unit_udp_io_linux PRIVATE UDP_IO_IS_LINUX)
unit_test(udp_io_portable test_udp_io.c ${CMAKE_SOURCE_DIR}/daemon/platform/posix/udp_io.c ${CMAKE_SOURCE_DIR}/daemon/platform/udp_sender.c
          ${SOCKADDR_POSIX_SOURCES} LIBS proto_objects)

# The engine as an app sees it, on real sockets.
unit_test(engine_config test_engine_config.c LIBS udptun_static)
unit_test(policy test_policy.c own_net.c ${ENGINE_DIR}/settings/policy.c ${SOCKADDR_SOURCES}
          LIBS proto_objects)
unit_test(url test_url.c ${ENGINE_DIR}/settings/url.c ${SOCKADDR_SOURCES} LIBS proto_objects)
unit_test(engine_tunnel test_engine_tunnel.c engine_fixture.c LIBS udptun_static Threads::Threads)
if(UDPTUN_PORTABLE)
  target_compile_definitions(unit_engine_tunnel PRIVATE UDP_IO_IS_PORTABLE)
endif()
set(RESOLVER_SOURCES ${ENGINE_DIR}/streams/resolver.c ${ENGINE_DIR}/streams/resolver_ares.c ${SOCKADDR_SOURCES})
unit_test(resolver test_resolver.c own_net.c dns_server.c ${RESOLVER_SOURCES}
          LIBS proto_objects PkgConfig::CARES libev)
unit_test(dialer test_dialer.c own_net.c dns_server.c ${RESOLVER_SOURCES} ${ENGINE_DIR}/settings/url.c
          ${ENGINE_DIR}/streams/dialer.c ${ENGINE_DIR}/streams/dial_attempts.c ${ENGINE_DIR}/streams/dial_socks5.c
          ${ENGINE_DIR}/streams/dial_http.c LIBS proto_objects PkgConfig::CARES libev Threads::Threads)
set_tests_properties(unit.resolver unit.dialer PROPERTIES SKIP_RETURN_CODE 77)
unit_test(sockaddr test_sockaddr.c own_net.c ${SOCKADDR_SOURCES} LIBS proto_objects)
unit_test(sockaddr_posix test_sockaddr.c own_net.c ${SOCKADDR_POSIX_SOURCES} LIBS proto_objects)
target_compile_definitions(unit_sockaddr_posix PRIVATE SOCKADDR_IS_POSIX)
unit_test(engine_stream test_engine_stream.c engine_fixture.c LIBS udptun_static Threads::Threads)
unit_test(filter test_filter.c ${ENGINE_DIR}/settings/filter.c)
unit_test(engine_filtering test_engine_filtering.c engine_fixture.c
          LIBS udptun_static Threads::Threads)
unit_test(engine_identity test_engine_identity.c engine_fixture.c
          LIBS udptun_static Threads::Threads)
unit_test(engine_socks5 test_engine_socks5.c engine_fixture.c LIBS udptun_static Threads::Threads)

add_test(NAME engine.exports COMMAND ${CMAKE_COMMAND}
  -DNM=${CMAKE_NM} -DLIBRARY=$<TARGET_FILE:udptun>
  -DSYMBOLS=${CMAKE_SOURCE_DIR}/daemon/engine/libudptun.symbols
  -P ${CMAKE_CURRENT_SOURCE_DIR}/check_symbols.cmake)
if(UDPTUN_PORTABLE)
  add_test(NAME engine.portable COMMAND ${CMAKE_COMMAND}
    -DNM=${CMAKE_NM} -DLIBRARY=$<TARGET_FILE:udptun>
    -P ${CMAKE_CURRENT_SOURCE_DIR}/check_portable_symbols.cmake)
endif()
if(NOT UDPTUN_SANITIZE) # sanitizers bring symbols and data of their own
  set(lwip "")
  if(TARGET lwip_objects)
    set(lwip "$<JOIN:$<TARGET_OBJECTS:lwip_objects>,|>")
  endif()
  add_test(NAME engine.symbols COMMAND ${CMAKE_COMMAND}
    -DNM=${CMAKE_NM} -DLIBRARY=$<TARGET_FILE:udptun>
    "-DLWIP=${lwip}"
    -P ${CMAKE_CURRENT_SOURCE_DIR}/check_engine_symbols.cmake)
endif()
