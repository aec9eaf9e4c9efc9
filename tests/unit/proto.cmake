# SPDX-License-Identifier: Apache-2.0
unit_test(buffer test_buffer.c)
unit_test(endpoint test_endpoint.c LIBS proto_objects)
unit_test(error test_error.c LIBS proto_objects)
unit_test(socks5 test_socks5.c LIBS proto_objects)
unit_test(table test_table.c LIBS proto_objects)
unit_test(udpt_session test_udpt_session.c udpt_pair.c LIBS proto_objects)
unit_test(udpt_vectors test_udpt_vectors.c LIBS proto_objects)
