# SPDX-License-Identifier: Apache-2.0
unit_test(scan test_scan.c LIBS proto_control)
unit_test(codec test_codec.c LIBS proto_control)
