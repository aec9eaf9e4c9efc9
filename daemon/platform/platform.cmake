# SPDX-License-Identifier: Apache-2.0
# platform.cmake - which folder a file of the platform is taken from: the first of PLATFORM_FOLDERS
# that has one of the name. posix/ is the base; a system overrides file by file.
if(CMAKE_SYSTEM_NAME STREQUAL "Windows")
  set(PLATFORM_FOLDERS windows)
elseif(UDPTUN_PORTABLE)
  set(PLATFORM_FOLDERS posix)
elseif(CMAKE_SYSTEM_NAME STREQUAL "Android")
  set(PLATFORM_FOLDERS android linux posix)
elseif(CMAKE_SYSTEM_NAME STREQUAL "Linux")
  set(PLATFORM_FOLDERS linux posix)
elseif(CMAKE_SYSTEM_NAME MATCHES "Darwin|iOS")
  set(PLATFORM_FOLDERS darwin posix)
else()
  set(PLATFORM_FOLDERS posix)
endif()
set(PLATFORM_DIR ${CMAKE_CURRENT_LIST_DIR})

# platform_pick(VARIABLE NAMES...) - appends the paths of NAME.c; those in no folder are left out. The
# folders of process/NAME are in process/.
function(platform_pick variable)
  set(picked ${${variable}})
  foreach(name ${ARGN})
    get_filename_component(room ${PLATFORM_DIR}/${name} DIRECTORY)
    get_filename_component(file ${name} NAME)
    foreach(folder ${PLATFORM_FOLDERS})
      if(EXISTS ${room}/${folder}/${file}.c)
        list(APPEND picked ${room}/${folder}/${file}.c)
        break()
      endif()
    endforeach()
  endforeach()
  set(${variable} ${picked} PARENT_SCOPE)
endfunction()
