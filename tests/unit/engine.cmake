# SPDX-License-Identifier: Apache-2.0

set(ENGINE_DIR ${CMAKE_SOURCE_DIR}/daemon/engine)

# The engine as an app sees it, on real sockets.
unit_test(engine_config test_engine_config.c LIBS udptun_static)
unit_test(policy test_policy.c own_net.c ${ENGINE_DIR}/settings/policy.c
          LIBS ${PLATFORM_LIBS})
unit_test(url test_url.c ${ENGINE_DIR}/settings/url.c LIBS ${PLATFORM_LIBS})
unit_test(engine_tunnel test_engine_tunnel.c engine_fixture.c LIBS udptun_static Threads::Threads)
if(UDPTUN_PORTABLE)
  target_compile_definitions(unit_engine_tunnel PRIVATE UDP_IO_IS_PORTABLE)
endif()
set(RESOLVER_SOURCES ${ENGINE_DIR}/streams/resolver.c ${ENGINE_DIR}/streams/resolver_entry.c)
unit_test(resolver test_resolver.c own_net.c dns_server.c ${RESOLVER_SOURCES}
          LIBS ${PLATFORM_LIBS} platform_loop_objects
          platform_names_objects)
unit_test(dialer test_dialer.c own_net.c dns_server.c ${RESOLVER_SOURCES} ${ENGINE_DIR}/settings/url.c
          ${ENGINE_DIR}/streams/dialer.c ${ENGINE_DIR}/streams/dial_attempts.c ${ENGINE_DIR}/streams/dial_socks5.c
          ${ENGINE_DIR}/streams/dial_http.c LIBS ${PLATFORM_LIBS} platform_loop_objects
          platform_names_objects)
if("linux" IN_LIST PLATFORM_FOLDERS)
  target_compile_definitions(unit_dialer PRIVATE SOCKET_IS_LINUX)
endif()
set_tests_properties(unit.resolver unit.dialer PROPERTIES SKIP_RETURN_CODE 77)
unit_test(own_sockets test_own_sockets.c LIBS udptun_static)
unit_test(wait_queue test_wait_queue.c ${ENGINE_DIR}/core/wait_queue.c LIBS ${PLATFORM_LIBS})
unit_test(engine_table test_engine_table.c engine_fixture.c LIBS udptun_static Threads::Threads)
unit_test(engine_stream test_engine_stream.c engine_fixture.c LIBS udptun_static Threads::Threads)
unit_test(filter test_filter.c ${ENGINE_DIR}/settings/filter.c)
unit_test(engine_filtering test_engine_filtering.c engine_fixture.c
          LIBS udptun_static Threads::Threads)
unit_test(engine_unfragmented test_engine_unfragmented.c engine_fixture.c own_net.c
          LIBS udptun_static Threads::Threads)
set_tests_properties(unit.engine_unfragmented PROPERTIES SKIP_RETURN_CODE 77)
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
