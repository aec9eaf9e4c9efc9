# SPDX-License-Identifier: Apache-2.0
# A portable LIBRARY calls nothing that only Linux has.
execute_process(COMMAND ${NM} -D --undefined-only --format=posix ${LIBRARY}
                OUTPUT_VARIABLE output COMMAND_ERROR_IS_FATAL ANY)
string(REGEX MATCHALL "[^\n]+" lines "${output}")
set(found "")
foreach(line IN LISTS lines)
  string(REGEX REPLACE "[ @].*" "" name "${line}")
  if(name MATCHES "^(accept4|recvmmsg|sendmmsg|pipe2|ppoll|dup3|epoll_.*|eventfd|timerfd_.*|signalfd|splice|sendfile|getrandom|prctl|ioctl)$")
    list(APPEND found ${name})
  endif()
endforeach()
if(found)
  message(FATAL_ERROR "${LIBRARY} calls ${found}")
endif()
