# SPDX-License-Identifier: Apache-2.0
unit_test(scan test_scan.c LIBS proto_control)
unit_test(codec test_codec.c LIBS proto_control)
unit_test(codec_memory test_codec_memory.c LIBS proto_control)
target_link_options(unit_codec_memory PRIVATE -Wl,--wrap=malloc,--wrap=calloc,--wrap=strdup)
unit_test(peek test_peek.c LIBS proto_control)
target_link_options(unit_peek PRIVATE -Wl,--wrap=malloc,--wrap=calloc)
unit_test(control_objects test_control_objects.c LIBS daemon_control udptun_static)
unit_test(state test_state.c LIBS daemon_control udptun_static)
unit_test(statistics test_statistics.c LIBS daemon_control udptun_static)
target_compile_definitions(unit_statistics PRIVATE
  METRICS_DOCUMENT="${PROJECT_SOURCE_DIR}/docs/metrics.md")
unit_test(conn_fds test_conn_fds.c LIBS daemon_control udptun_static)
