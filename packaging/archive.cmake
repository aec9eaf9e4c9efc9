# SPDX-License-Identifier: Apache-2.0
# archive.cmake - the static library that an app links: lib${name}.a, one object in which every
# function but those that the file `symbols` lists is local. So nothing of ours, or of lwIP, meets
# a function of the app by the same name.
#
#   udptun_archive(NAME SYMBOLS_FILE objects...)     makes the target NAME_archive and installs it
function(udptun_archive name symbols)
  set(whole ${CMAKE_CURRENT_BINARY_DIR}/${name}.o)
  set(archive ${CMAKE_ARCHIVE_OUTPUT_DIRECTORY}/lib${name}.a)
  if(APPLE)
    # The linker makes what is hidden local by itself.
    set(localize ${CMAKE_COMMAND} -E true)
  else()
    set(localize ${CMAKE_OBJCOPY} --keep-global-symbols=${symbols} ${whole})
  endif()
  add_custom_command(OUTPUT ${archive}
    COMMAND ${CMAKE_C_COMPILER} $<$<BOOL:${CMAKE_SYSROOT}>:--sysroot=${CMAKE_SYSROOT}> -r -nostdlib
            -o ${whole} ${ARGN}
    COMMAND ${localize}
    COMMAND ${CMAKE_COMMAND} -E rm -f ${archive}
    COMMAND ${CMAKE_AR} qc ${archive} ${whole}
    COMMAND ${CMAKE_RANLIB} ${archive}
    DEPENDS ${ARGN} ${symbols}
    COMMENT "Linking lib${name}.a" COMMAND_EXPAND_LISTS VERBATIM)
  add_custom_target(${name}_archive ALL DEPENDS ${archive})
  install(FILES ${archive} DESTINATION ${CMAKE_INSTALL_LIBDIR})
endfunction()

# udptun_symbol_versions(TARGET SYMBOLS NODE) - the symbols of that list, and no others, are exported, as of
# version NODE; a linker that knows no version scripts exports what is not hidden.
function(udptun_symbol_versions target symbols node)
  if(APPLE OR WIN32)
    return()
  endif()
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${symbols})
  file(STRINGS ${symbols} names)
  list(JOIN names ";\n    " names)
  set(map ${CMAKE_CURRENT_BINARY_DIR}/${target}.map)
  file(CONFIGURE OUTPUT ${map} CONTENT "@node@ {\n  global:\n    @names@;\n  local:\n    *;\n};\n" @ONLY)
  target_link_options(${target} PRIVATE -Wl,--version-script=${map})
  set_property(TARGET ${target} APPEND PROPERTY LINK_DEPENDS ${map})
endfunction()

# udptun_cmake_package(NAME) - find_package(NAME) for the export set NAME.
include(CMakePackageConfigHelpers)
function(udptun_cmake_package name)
  set(folder ${CMAKE_INSTALL_LIBDIR}/cmake/${name})
  write_basic_package_version_file(${name}-config-version.cmake COMPATIBILITY SameMinorVersion)
  install(EXPORT ${name} FILE ${name}-config.cmake NAMESPACE udptun:: DESTINATION ${folder})
  install(FILES ${CMAKE_CURRENT_BINARY_DIR}/${name}-config-version.cmake DESTINATION ${folder})
endfunction()
