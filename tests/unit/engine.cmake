# SPDX-License-Identifier: Apache-2.0

# The network modules; each names its sources, so that both UDP files are tested.
set(ENGINE_DIR ${CMAKE_SOURCE_DIR}/daemon/engine)
set(SOCKADDR_SOURCES ${ENGINE_DIR}/sockaddr.c ${ENGINE_DIR}/sockaddr_linux.c)
unit_test(udp_io_linux test_udp_io.c ${ENGINE_DIR}/udp_io_linux.c ${ENGINE_DIR}/udp_send_linux.c
          ${ENGINE_DIR}/udp_sender.c ${SOCKADDR_SOURCES} LIBS proto_objects)
target_compile_definitions(unit_udp_io_linux PRIVATE UDP_IO_IS_LINUX)
unit_test(udp_io_portable test_udp_io.c ${ENGINE_DIR}/udp_io_portable.c ${ENGINE_DIR}/udp_sender.c
          ${SOCKADDR_SOURCES} LIBS proto_objects)

# The engine as an app sees it, on real sockets.
unit_test(engine_config test_engine_config.c LIBS udptun_static)
unit_test(policy test_policy.c own_net.c ${ENGINE_DIR}/policy.c ${SOCKADDR_SOURCES}
          LIBS proto_objects)
unit_test(url test_url.c ${ENGINE_DIR}/url.c ${SOCKADDR_SOURCES} LIBS proto_objects)
