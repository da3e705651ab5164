# The install tree and the package that find_package(anabranch COMPONENTS ...) reads. Every built part is exported.

include(CMakePackageConfigHelpers)

set(package_folder "${CMAKE_INSTALL_LIBDIR}/cmake/anabranch")
set(parts core)
foreach(part fmt eigen hf simd attention linear torch train cuda llama capi attention_c)
  string(TOUPPER ${part} upper)
  if(ANABRANCH_HAS_${upper})
    list(APPEND parts ${part})
  endif()
endforeach()

install(DIRECTORY "${PROJECT_SOURCE_DIR}/include/anabranch" DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}"
  FILES_MATCHING PATTERN "*.hpp")
install(FILES "${PROJECT_SOURCE_DIR}/LICENSE" DESTINATION "${CMAKE_INSTALL_DOCDIR}")

# One export set per part, so that a component that was not asked for drags in nothing.
foreach(part IN LISTS parts)
  install(TARGETS anabranch_${part} EXPORT anabranch-${part})
  install(EXPORT anabranch-${part} NAMESPACE anabranch:: DESTINATION "${package_folder}")
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
  DESTINATION "${package_folder}")
