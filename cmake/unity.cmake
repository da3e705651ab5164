# One translation unit for a target, in our own builds alone (ANABRANCH_UNITY, which the preset `dev` sets): most of what
# a file costs to compile is its headers and the templates that it instantiates, and the files of a target share both.

option(ANABRANCH_UNITY "For our own work: compile the C++ files of a target as one" OFF)

# Likewise for our own work alone: two hundred programs are linked faster, the libraries as ever.
find_program(ANABRANCH_MOLD mold)
mark_as_advanced(ANABRANCH_MOLD)
if(ANABRANCH_UNITY AND ANABRANCH_MOLD AND CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND
    CMAKE_CXX_COMPILER_VERSION VERSION_GREATER_EQUAL 12.1)
  string(APPEND CMAKE_EXE_LINKER_FLAGS " -fuse-ld=mold")
endif()

# anabranch_unity(<target>): at the end of this directory the target's C++ files become one, which includes them by their
# path in the repository, so that a compiler cache serves several checkouts, and lies where it does in every build folder
# of that depth. Files with compile options of their own stay alone, and so does one that replaces operator new: with
# its body in sight, the compiler takes what `delete` frees for malloc's.
function(anabranch_unity target)
  if(ANABRANCH_UNITY)
    cmake_language(EVAL CODE "cmake_language(DEFER CALL anabranch_make_unit [[${target}]])")
  endif()
endfunction()

function(anabranch_make_unit target)
  get_target_property(sources ${target} SOURCES)
  set(alone "")
  set(includes "")
  foreach(source IN LISTS sources)
    get_source_file_property(options "${source}" COMPILE_OPTIONS)
    if(NOT source MATCHES "\\.cpp$" OR options)
      list(APPEND alone "${source}")
      continue()
    endif()
    cmake_path(ABSOLUTE_PATH source BASE_DIRECTORY "${CMAKE_CURRENT_SOURCE_DIR}" NORMALIZE)
    file(STRINGS "${source}" replaces_new REGEX "^void\\* operator new" LIMIT_COUNT 1)
    if(replaces_new)
      list(APPEND alone "${source}")
      continue()
    endif()
    cmake_path(RELATIVE_PATH source BASE_DIRECTORY "${PROJECT_SOURCE_DIR}")
    list(APPEND includes "#include \"${source}\"\n")
  endforeach()
  list(LENGTH includes n)
  if(n LESS 2)
    return()
  endif()
  list(JOIN includes "" text)
  set(unit "${CMAKE_BINARY_DIR}/units/${target}_unit.cpp")
  file(CONFIGURE OUTPUT "${unit}" CONTENT "${text}" @ONLY)
  set_property(TARGET ${target} PROPERTY SOURCES "${unit}" ${alone})
  target_include_directories(${target} PRIVATE "$<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}>")
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")  # it takes what is included for a header, which several files may have
    target_compile_options(${target} PRIVATE $<$<COMPILE_LANGUAGE:CXX>:-Wno-subobject-linkage>)
  endif()
endfunction()
