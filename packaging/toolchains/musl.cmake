# SPDX-License-Identifier: Apache-2.0
# musl.cmake - this machine with musl in place of glibc, and the libraries that packaging/cross has built
# into build-cross/musl/sysroot.
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR x86_64)
set(CMAKE_C_COMPILER musl-gcc)
get_filename_component(sysroot ${CMAKE_CURRENT_LIST_DIR}/../../build-cross/musl/sysroot ABSOLUTE)
set(CMAKE_FIND_ROOT_PATH ${sysroot})
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)
set(CMAKE_CROSSCOMPILING_EMULATOR env)
set(ENV{PKG_CONFIG_LIBDIR} ${sysroot}/lib/pkgconfig)
# Its ioctl() takes an int, into which the kernel's numbers do not go.
set(CMAKE_C_FLAGS_INIT "-isystem ${sysroot}/include -Wno-sign-conversion")
set(CMAKE_EXE_LINKER_FLAGS_INIT "-static")
