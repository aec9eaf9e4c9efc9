# SPDX-License-Identifier: Apache-2.0
# libclient and udptunctl.
unit_test(client test_client.c client_far.c LIBS udptun_client_static PkgConfig::JANSSON)
unit_test(client_wait test_client_wait.c client_far.c
          LIBS udptun_client_static PkgConfig::JANSSON Threads::Threads libev)

add_test(NAME client.symbols COMMAND ${CMAKE_COMMAND}
  -DNM=${CMAKE_NM} -DLIBRARY=$<TARGET_FILE:udptun-client>
  -DSYMBOLS=${CMAKE_SOURCE_DIR}/libclient/libudptun-client.symbols
  -P ${CMAKE_CURRENT_SOURCE_DIR}/check_symbols.cmake)

# The example, with the public header and library only; tests/daemon/test_cli.py runs it.
add_executable(client-status ${CMAKE_SOURCE_DIR}/docs/examples/client-status.c)
target_link_libraries(client-status PRIVATE udptun-client)
