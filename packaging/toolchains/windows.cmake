# SPDX-License-Identifier: Apache-2.0
# windows.cmake - MinGW-w64, with the libraries that packaging/cross has built into
# build-cross/windows/sysroot, and Wine to run what was built.
set(CMAKE_SYSTEM_NAME Windows)
set(CMAKE_SYSTEM_PROCESSOR x86_64)
set(CMAKE_C_COMPILER x86_64-w64-mingw32-gcc-posix)
set(CMAKE_RC_COMPILER x86_64-w64-mingw32-windres)
get_filename_component(sysroot ${CMAKE_CURRENT_LIST_DIR}/../../build-cross/windows/sysroot ABSOLUTE)
set(CMAKE_FIND_ROOT_PATH ${sysroot})
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_CROSSCOMPILING_EMULATOR ${CMAKE_CURRENT_LIST_DIR}/windows/run)
set(ENV{PKG_CONFIG_LIBDIR} ${sysroot}/lib/pkgconfig)
set(CMAKE_C_FLAGS_INIT "-D__USE_MINGW_ANSI_STDIO=1 -isystem ${CMAKE_CURRENT_LIST_DIR}/windows -include ${CMAKE_CURRENT_LIST_DIR}/windows/posix.h")
set(CMAKE_EXE_LINKER_FLAGS_INIT "-static")
