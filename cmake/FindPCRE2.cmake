# Finds the 8-bit PCRE2 library: PCRE2_FOUND, PCRE2_VERSION and the target PCRE2::8BIT. A PCRE2 that brings its own
# CMake package (which names the target the same) is taken first.

find_package(PCRE2 CONFIG QUIET COMPONENTS 8BIT)
if(NOT TARGET PCRE2::8BIT)
  find_path(PCRE2_INCLUDE_DIR pcre2.h)
  find_library(PCRE2_8_LIBRARY pcre2-8)
  mark_as_advanced(PCRE2_INCLUDE_DIR PCRE2_8_LIBRARY)
  if(PCRE2_INCLUDE_DIR)
    file(STRINGS "${PCRE2_INCLUDE_DIR}/pcre2.h" lines REGEX "^#define PCRE2_(MAJOR|MINOR)[ \t]+[0-9]+")
    string(REGEX REPLACE ".*PCRE2_MAJOR[ \t]+([0-9]+).*PCRE2_MINOR[ \t]+([0-9]+).*" "\\1.\\2" PCRE2_VERSION "${lines}")
  endif()
  include(FindPackageHandleStandardArgs)
  find_package_handle_standard_args(PCRE2
    REQUIRED_VARS PCRE2_8_LIBRARY PCRE2_INCLUDE_DIR VERSION_VAR PCRE2_VERSION)
  if(PCRE2_FOUND)
    add_library(PCRE2::8BIT UNKNOWN IMPORTED)
    set_target_properties(PCRE2::8BIT PROPERTIES
      IMPORTED_LOCATION "${PCRE2_8_LIBRARY}"
      INTERFACE_INCLUDE_DIRECTORIES "${PCRE2_INCLUDE_DIR}")
  endif()
endif()
