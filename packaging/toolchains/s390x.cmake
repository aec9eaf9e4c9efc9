# SPDX-License-Identifier: Apache-2.0
set(UDPTUN_TRIPLET s390x-linux-gnu)
set(UDPTUN_ARCHITECTURE s390x)
set(CMAKE_SYSTEM_PROCESSOR s390x)
set(UDPTUN_EMULATOR qemu-s390x)
include(${CMAKE_CURRENT_LIST_DIR}/debian.cmake)
