# Packages of the install tree, made by `cpack` in the build folder: a tarball of all, and for Debian libanabranch0 (the
# shared libraries) and libanabranch-dev (headers, static libraries, CMake's and pkg-config's files). A part that was not
# built is in none.

set(CPACK_PACKAGE_NAME anabranch)
set(CPACK_PACKAGE_VENDOR anabranch)
set(CPACK_PACKAGE_CONTACT "The authors of Anabranch <anabranch@localhost>")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "${PROJECT_DESCRIPTION}")
set(CPACK_RESOURCE_FILE_LICENSE "${PROJECT_SOURCE_DIR}/LICENSE")
set(CPACK_PACKAGE_DIRECTORY "${PROJECT_BINARY_DIR}/packages")
set(CPACK_VERBATIM_VARIABLES ON)
set(CPACK_STRIP_FILES ON)
set(CPACK_COMPONENTS_ALL runtime dev)
set(CPACK_COMPONENT_DEV_DEPENDS runtime)
set(CPACK_GENERATOR TGZ)
if(CMAKE_SYSTEM_NAME STREQUAL "Linux")
  list(APPEND CPACK_GENERATOR DEB)
endif()

set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_DEBIAN_ENABLE_COMPONENT_DEPENDS ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_RUNTIME_PACKAGE_NAME libanabranch0)
set(CPACK_DEBIAN_RUNTIME_PACKAGE_SECTION libs)
set(CPACK_DEBIAN_DEV_PACKAGE_NAME libanabranch-dev)
set(CPACK_DEBIAN_DEV_PACKAGE_SECTION libdevel)
find_program(ANABRANCH_SHLIBDEPS dpkg-shlibdeps)
find_program(ANABRANCH_FILE file)  # cpack asks it which files are programs
mark_as_advanced(ANABRANCH_SHLIBDEPS ANABRANCH_FILE)
if(ANABRANCH_SHLIBDEPS AND ANABRANCH_FILE)
  set(CPACK_DEBIAN_RUNTIME_PACKAGE_SHLIBDEPS ON)
else()
  set(CPACK_DEBIAN_RUNTIME_PACKAGE_DEPENDS "libc6, libstdc++6")
endif()

include(CPack)
