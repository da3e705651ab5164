# The install tree and the package that find_package(anabranch COMPONENTS ...) reads. Every part that is built is
# exported; a part whose library was not built yet is not installed, and the package does not name it.

include(CMakePackageConfigHelpers)

set(package_folder "${CMAKE_INSTALL_LIBDIR}/cmake/anabranch")
set(pc_folder "${CMAKE_INSTALL_LIBDIR}/pkgconfig")
set(parts "")
foreach(part IN LISTS ANABRANCH_PARTS)
  string(TOUPPER ${part} upper)
  if(part STREQUAL "core" OR ANABRANCH_HAS_${upper})
    list(APPEND parts ${part})
  endif()
endforeach()

install(DIRECTORY "${PROJECT_SOURCE_DIR}/include/anabranch" DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}"
  COMPONENT dev FILES_MATCHING PATTERN "*.hpp")
install(FILES "${PROJECT_SOURCE_DIR}/LICENSE" DESTINATION "${CMAKE_INSTALL_DOCDIR}" COMPONENT runtime)

if(ANABRANCH_HAS_HF AND ANABRANCH_JINJA_FOUND)
  install(FILES "${ANABRANCH_JINJA_FOUND}/LICENSE" DESTINATION "${CMAKE_INSTALL_DOCDIR}" RENAME LICENSE.llama.cpp
    COMPONENT runtime)
endif()

# One export set per part, so that a component that was not asked for drags in nothing.
foreach(part IN LISTS parts)
  install(TARGETS anabranch_${part} EXPORT anabranch-${part}
    LIBRARY COMPONENT runtime NAMELINK_COMPONENT dev OPTIONAL
    ARCHIVE COMPONENT dev OPTIONAL
    RUNTIME COMPONENT runtime OPTIONAL)
  install(EXPORT anabranch-${part} NAMESPACE anabranch:: DESTINATION "${package_folder}" COMPONENT dev)
endforeach()

configure_package_config_file("${PROJECT_SOURCE_DIR}/cmake/anabranch-config.cmake.in"
  "${PROJECT_BINARY_DIR}/anabranch-config.cmake" INSTALL_DESTINATION "${package_folder}"
  NO_SET_AND_CHECK_MACRO)
write_basic_package_version_file("${PROJECT_BINARY_DIR}/anabranch-config-version.cmake"
  COMPATIBILITY SameMinorVersion)
install(FILES
  "${PROJECT_BINARY_DIR}/anabranch-config.cmake"
  "${PROJECT_BINARY_DIR}/anabranch-config-version.cmake"
  "${PROJECT_SOURCE_DIR}/cmake/FindPCRE2.cmake"
  "${PROJECT_SOURCE_DIR}/cmake/Findutf8proc.cmake"
  DESTINATION "${package_folder}" COMPONENT dev)

# Files for pkg-config, which find the prefix from where they lie. A static program needs the C++ runtime too.
cmake_path(RELATIVE_PATH CMAKE_INSTALL_PREFIX BASE_DIRECTORY "${CMAKE_INSTALL_PREFIX}/${pc_folder}"
  OUTPUT_VARIABLE prefix_from_pc)
set(runtime_libs ${ANABRANCH_RUNTIME_LIBS})
list(TRANSFORM runtime_libs PREPEND "-l")
list(JOIN runtime_libs " " runtime_libs)
set(pc_core anabranch_core.pc)
set(pc_capi anabranch.pc)
set(pc_attention_c anabranch_attention.pc)
foreach(part core capi attention_c)
  if(part IN_LIST parts)
    configure_file("${PROJECT_SOURCE_DIR}/cmake/pkgconfig/${pc_${part}}.in"
      "${PROJECT_BINARY_DIR}/pkgconfig/${pc_${part}}" @ONLY)
    install(FILES "${PROJECT_BINARY_DIR}/pkgconfig/${pc_${part}}" DESTINATION "${pc_folder}" COMPONENT dev)
  endif()
endforeach()

# The rules above install files for a part whose library is not there, too: these go again.
foreach(part IN LISTS parts)
  get_target_property(type anabranch_${part} TYPE)
  if(type STREQUAL "INTERFACE_LIBRARY")
    continue()
  endif()
  set(files "${package_folder}/anabranch-${part}.cmake" "${package_folder}/anabranch-${part}-*.cmake")
  if(DEFINED pc_${part})
    list(APPEND files "${pc_folder}/${pc_${part}}")
  endif()
  list(TRANSFORM files PREPEND "\"\$ENV{DESTDIR}\${CMAKE_INSTALL_PREFIX}/")
  list(TRANSFORM files APPEND "\"")
  list(JOIN files " " files)
  install(CODE "
    if(NOT EXISTS \"$<TARGET_FILE:anabranch_${part}>\")
      message(STATUS \"anabranch: ${part} was not built, so it is not installed\")
      file(GLOB unbuilt ${files})
      if(unbuilt)
        file(REMOVE \${unbuilt})
      endif()
    endif()" COMPONENT dev)
endforeach()
