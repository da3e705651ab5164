# Runs the commands of cmake/packaging/docker/Dockerfile in a folder; dockerfile.py does it.
cmake_minimum_required(VERSION 3.25)
include("${CMAKE_CURRENT_LIST_DIR}/consume.cmake")

file(REMOVE_RECURSE "${WORK}")
set(ENV{CMAKE_CXX_COMPILER_LAUNCHER} "${LAUNCHER}")
list(JOIN same_flags "' '" options)
execute_process(COMMAND "${PYTHON}" -B "${CMAKE_CURRENT_LIST_DIR}/dockerfile.py" "${SOURCE}" "${WORK}" "${VERSION}"
  "'${options}'" RESULT_VARIABLE status)
if(NOT status EQUAL 0)
  message(FATAL_ERROR "the Dockerfile does not do what it says (${status})")
endif()
