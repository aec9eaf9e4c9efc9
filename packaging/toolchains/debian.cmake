# SPDX-License-Identifier: Apache-2.0
# debian.cmake - another architecture of Debian: its cross compiler, the libraries that packaging/cross
# has put into build-cross/ARCHITECTURE/sysroot, and qemu-user to run what was built.
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_C_COMPILER ${UDPTUN_TRIPLET}-gcc)
get_filename_component(CMAKE_SYSROOT
  ${CMAKE_CURRENT_LIST_DIR}/../../build-cross/${UDPTUN_ARCHITECTURE}/sysroot ABSOLUTE)
set(CMAKE_LIBRARY_ARCHITECTURE ${UDPTUN_TRIPLET})
set(CMAKE_CROSSCOMPILING_EMULATOR ${UDPTUN_EMULATOR};-L;${CMAKE_SYSROOT})
set(CMAKE_FIND_ROOT_PATH ${CMAKE_SYSROOT})
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)
set(ENV{PKG_CONFIG_SYSROOT_DIR} ${CMAKE_SYSROOT})
set(ENV{PKG_CONFIG_LIBDIR}
    ${CMAKE_SYSROOT}/usr/lib/${UDPTUN_TRIPLET}/pkgconfig:${CMAKE_SYSROOT}/usr/share/pkgconfig)
