# SPDX-License-Identifier: Apache-2.0

# The platform. What a system overrides is tested beside the base that it overrides.
unit_test(loop test_loop.c LIBS platform_objects platform_loop_objects proto_objects)
unit_test(files test_files.c LIBS platform_objects proto_objects)
unit_test(accepting test_accepting.c LIBS platform_objects platform_loop_objects proto_objects)
unit_test(thread test_thread.c LIBS platform_objects proto_objects)
set(POSIX_DIR ${CMAKE_SOURCE_DIR}/daemon/platform/posix)
set(POSIX_SOURCES ${CMAKE_SOURCE_DIR}/daemon/platform/datagram_sender.c
    ${CMAKE_SOURCE_DIR}/daemon/platform/io_code.c ${POSIX_DIR}/address.c
    ${POSIX_DIR}/datagram.c ${POSIX_DIR}/datagram_open.c ${POSIX_DIR}/result.c ${POSIX_DIR}/socket.c
    ${POSIX_DIR}/socket_make.c)
set(PLATFORM_LIBS platform_objects proto_objects)
unit_test(datagram test_datagram.c LIBS ${PLATFORM_LIBS})
unit_test(socket test_socket.c own_net.c LIBS ${PLATFORM_LIBS})
if(NOT "posix" STREQUAL "${PLATFORM_FOLDERS}")
  unit_test(datagram_posix test_datagram.c ${POSIX_SOURCES} LIBS proto_objects)
  unit_test(socket_posix test_socket.c own_net.c ${POSIX_SOURCES} LIBS proto_objects)
  target_compile_definitions(unit_socket PRIVATE SOCKET_IS_LINUX)
  target_compile_definitions(unit_datagram PRIVATE DATAGRAM_IS_LINUX)
endif()
