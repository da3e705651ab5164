# The target `docs`: the API reference in build/<preset>/reference/html, by Doxygen, from the comments of the public
# headers and from the documents. A warning is an error. tests/build runs the same.

find_program(ANABRANCH_DOXYGEN doxygen)
mark_as_advanced(ANABRANCH_DOXYGEN)
if(NOT ANABRANCH_DOXYGEN)
  anabranch_left_out("target docs" "doxygen not found: Debian: doxygen")
  return()
endif()

set(ANABRANCH_REFERENCE_DIR "${PROJECT_BINARY_DIR}/reference")
set(ANABRANCH_DOXYFILE "${ANABRANCH_REFERENCE_DIR}/Doxyfile")
set(ANABRANCH_REFERENCE_INPUT "")
foreach(input README.md CONTRIBUTING.md CHANGELOG.md docs include/anabranch capi)
  if(EXISTS "${PROJECT_SOURCE_DIR}/${input}")
    string(APPEND ANABRANCH_REFERENCE_INPUT " \"${PROJECT_SOURCE_DIR}/${input}\"")
  endif()
endforeach()
configure_file("${CMAKE_CURRENT_LIST_DIR}/Doxyfile.in" "${ANABRANCH_DOXYFILE}" @ONLY)

add_custom_target(docs
  COMMAND "${ANABRANCH_DOXYGEN}" "${ANABRANCH_DOXYFILE}"
  COMMAND ${CMAKE_COMMAND} -E echo "${ANABRANCH_REFERENCE_DIR}/html/index.html"
  COMMENT "Making the API reference with doxygen"
  VERBATIM)
