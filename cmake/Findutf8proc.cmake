# Finds utf8proc: utf8proc_FOUND, utf8proc_VERSION and the target utf8proc::utf8proc. A utf8proc that brings its own CMake
# package (which names the target the same) is taken first.

find_package(utf8proc ${utf8proc_FIND_VERSION} CONFIG QUIET)
if(NOT TARGET utf8proc::utf8proc)
  find_path(UTF8PROC_INCLUDE_DIR utf8proc.h)
  find_library(UTF8PROC_LIBRARY utf8proc)
  mark_as_advanced(UTF8PROC_INCLUDE_DIR UTF8PROC_LIBRARY)
  if(UTF8PROC_INCLUDE_DIR)
    file(STRINGS "${UTF8PROC_INCLUDE_DIR}/utf8proc.h" lines
      REGEX "^#define UTF8PROC_VERSION_(MAJOR|MINOR|PATCH)[ \t]+[0-9]+")
    string(REGEX REPLACE ".*MAJOR[ \t]+([0-9]+).*MINOR[ \t]+([0-9]+).*PATCH[ \t]+([0-9]+).*" "\\1.\\2.\\3"
      utf8proc_VERSION "${lines}")
  endif()
  include(FindPackageHandleStandardArgs)
  find_package_handle_standard_args(utf8proc
    REQUIRED_VARS UTF8PROC_LIBRARY UTF8PROC_INCLUDE_DIR VERSION_VAR utf8proc_VERSION)
  if(utf8proc_FOUND)
    add_library(utf8proc::utf8proc UNKNOWN IMPORTED)
    set_target_properties(utf8proc::utf8proc PROPERTIES
      IMPORTED_LOCATION "${UTF8PROC_LIBRARY}"
      INTERFACE_INCLUDE_DIRECTORIES "${UTF8PROC_INCLUDE_DIR}")
  endif()
endif()
