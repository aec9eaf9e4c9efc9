# SPDX-License-Identifier: Apache-2.0
# The dynamic symbols that LIBRARY defines are those that the file SYMBOLS lists, no more, no less.
execute_process(COMMAND ${NM} -D --defined-only --format=posix ${LIBRARY}
                OUTPUT_VARIABLE output COMMAND_ERROR_IS_FATAL ANY)
string(REGEX MATCHALL "[^\n]+" lines "${output}")
set(found "")
foreach(line IN LISTS lines)
  string(REGEX REPLACE "[ @].*" "" name "${line}")
  if(NOT line MATCHES "^UDPTUN_[A-Z_]*[0-9]+ A ") # the version of the symbols
    list(APPEND found ${name})
  endif()
endforeach()
list(SORT found)
file(STRINGS ${SYMBOLS} wanted)
list(SORT wanted)
if(NOT found STREQUAL wanted)
  message(FATAL_ERROR "${LIBRARY} exports\n  ${found}\nbut ${SYMBOLS} lists\n  ${wanted}")
endif()
