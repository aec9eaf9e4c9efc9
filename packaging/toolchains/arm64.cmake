# SPDX-License-Identifier: Apache-2.0
set(UDPTUN_TRIPLET aarch64-linux-gnu)
set(UDPTUN_ARCHITECTURE arm64)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(UDPTUN_EMULATOR qemu-aarch64)
include(${CMAKE_CURRENT_LIST_DIR}/debian.cmake)
