# SPDX-License-Identifier: Apache-2.0
# libclient and udptunctl.
unit_test(client test_client.c client_far.c LIBS udptun_client_static PkgConfig::JANSSON)
unit_test(client_wait test_client_wait.c client_far.c
          LIBS udptun_client_static PkgConfig::JANSSON Threads::Threads libev)
unit_test(client_memory test_client_memory.c client_far.c
          LIBS udptun_client_static PkgConfig::JANSSON)
target_link_options(unit_client_memory PRIVATE
  -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc,--wrap=strdup,--wrap=asprintf)
unit_test(client_value test_client_value.c LIBS udptun_client_static PkgConfig::JANSSON)

# The libuv adapter is a header; the library needs no libuv.
pkg_check_modules(UV IMPORTED_TARGET libuv)
if(UV_FOUND)
  unit_test(client_uv test_client_uv.c client_far.c
            LIBS udptun_client_static PkgConfig::JANSSON PkgConfig::UV)
  add_executable(client-uv ${CMAKE_SOURCE_DIR}/docs/examples/client-uv.c)
  target_link_libraries(client-uv PRIVATE udptun-client PkgConfig::UV)
endif()

add_test(NAME client.symbols COMMAND ${CMAKE_COMMAND}
  -DNM=${CMAKE_NM} -DLIBRARY=$<TARGET_FILE:udptun-client>
  -DSYMBOLS=${CMAKE_SOURCE_DIR}/libclient/libudptun-client.symbols
  -P ${CMAKE_CURRENT_SOURCE_DIR}/check_symbols.cmake)

# The examples, with the public headers and library only; tests/daemon/test_cli.py runs them.
foreach(example client-status client-tunnel)
  add_executable(${example} ${CMAKE_SOURCE_DIR}/docs/examples/${example}.c)
  target_link_libraries(${example} PRIVATE udptun-client)
endforeach()
add_executable(client_actions client_actions.c)
target_link_libraries(client_actions PRIVATE udptun-client house_rules)

# What "udptunctl top" shows, without a terminal.
if(TARGET udptunctl_parts)
  unit_test(top test_top.c LIBS udptunctl_parts)
endif()
