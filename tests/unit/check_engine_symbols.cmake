# SPDX-License-Identifier: Apache-2.0
# LIBRARY neither ends nor multiplies the process of an app, takes no signal, prints nothing, and
# has no writable data of its own, lwIP's aside (its objects are LWIP, "|" between them). The
# linker's and the compiler's few symbols are named here.
cmake_policy(VERSION 3.25)
set(forbidden
  "(v?fork|clone|exec[lv]p?e?|posix_spawnp?|system|_?exit|_Exit|quick_exit|abort|__assert_fail|signal|sigaction|v?printf|__v?printf_chk|puts|putchar|perror|stdout)")
set(toolchain "completed.0|__dso_handle|__TMC_END__|_TLS_MODULE_BASE_|__aarch64_have_lse_atomics")

execute_process(COMMAND ${NM} -D --undefined-only --format=posix ${LIBRARY}
                OUTPUT_VARIABLE output COMMAND_ERROR_IS_FATAL ANY)
string(REGEX MATCHALL "[^\n]+" lines "${output}")
foreach(line IN LISTS lines)
  string(REGEX REPLACE "[ @].*" "" name "${line}")
  if(name MATCHES "^${forbidden}$")
    message(SEND_ERROR "${LIBRARY} uses ${name}")
  endif()
endforeach()
list(LENGTH lines count)
if(count LESS 20)
  message(FATAL_ERROR "only ${count} undefined symbols were found: nothing was checked")
endif()

set(lwip "")
if(LWIP)
  string(REPLACE "|" ";" objects "${LWIP}")
  execute_process(COMMAND ${NM} --defined-only --format=posix ${objects} OUTPUT_VARIABLE output
                  COMMAND_ERROR_IS_FATAL ANY)
  string(REGEX MATCHALL "[^\n]+ [bBdDC] [^\n]*" lines "${output}")
  foreach(line IN LISTS lines)
    string(REGEX REPLACE " .*" "" name "${line}")
    list(APPEND lwip ${name})
  endforeach()
endif()

execute_process(COMMAND ${NM} --format=sysv ${LIBRARY} OUTPUT_VARIABLE output
                COMMAND_ERROR_IS_FATAL ANY)
string(REGEX MATCHALL "[^\n]+" lines "${output}")
foreach(line IN LISTS lines)
  if(line MATCHES "\\|\\.(data|bss|tdata|tbss)[ \t]*$")
    string(REGEX REPLACE " *\\|.*" "" name "${line}")
    if(NOT name MATCHES "^(${toolchain})$" AND NOT name IN_LIST lwip)
      message(SEND_ERROR "${LIBRARY} has writable data: ${name}")
    endif()
  endif()
endforeach()
