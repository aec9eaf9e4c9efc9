# SPDX-License-Identifier: Apache-2.0
# at_install.cmake - files that name installed folders. They are made when these are known for
# certain, by `cmake --install`: its --prefix may be another than the one configured.
#
# udptun_at_install(CODE) - run CODE then. PROJECT_VERSION and GNUInstallDirs' CMAKE_INSTALL_FULL_*
# are set in it, for the prefix that is installed to.
function(udptun_at_install code)
  set(variables "set(PROJECT_VERSION \"${PROJECT_VERSION}\")\n")
  foreach(folder BINDIR SBINDIR SYSCONFDIR LIBDIR INCLUDEDIR)
    string(APPEND variables "
      set(CMAKE_INSTALL_${folder} \"${CMAKE_INSTALL_${folder}}\")
      set(CMAKE_INSTALL_FULL_${folder} \"${CMAKE_INSTALL_FULL_${folder}}\")
      if(NOT CMAKE_INSTALL_PREFIX STREQUAL \"${CMAKE_INSTALL_PREFIX}\")
        cmake_path(ABSOLUTE_PATH CMAKE_INSTALL_${folder} BASE_DIRECTORY \"\${CMAKE_INSTALL_PREFIX}\"
                   NORMALIZE OUTPUT_VARIABLE CMAKE_INSTALL_FULL_${folder})
      endif()\n")
  endforeach()
  install(CODE "${variables}${code}")
endfunction()

# udptun_install_configured(TEMPLATE FOLDER) - install TEMPLATE, an absolute path that ends with ".in",
# with its @VARIABLES@ replaced. FOLDER is below the prefix or absolute.
function(udptun_install_configured template folder)
  get_filename_component(name ${template} NAME_WLE)
  set(made "${CMAKE_CURRENT_BINARY_DIR}/${name}")
  udptun_at_install("
    set(folder \"${folder}\")
    cmake_path(ABSOLUTE_PATH folder BASE_DIRECTORY \"\${CMAKE_INSTALL_PREFIX}\")
    configure_file(\"${template}\" \"${made}\" @ONLY)
    file(INSTALL \"${made}\" DESTINATION \"\${folder}\")")
endfunction()
