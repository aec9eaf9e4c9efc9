# SPDX-License-Identifier: Apache-2.0
set(UDPTUN_TRIPLET arm-linux-gnueabihf)
set(UDPTUN_ARCHITECTURE armhf)
set(CMAKE_SYSTEM_PROCESSOR armv7)
set(UDPTUN_EMULATOR qemu-arm)
include(${CMAKE_CURRENT_LIST_DIR}/debian.cmake)
