# COMPILER refuses HEADER in C++17, with one #error that names C++20, and stops there.
cmake_minimum_required(VERSION 3.25)

set(ENV{LC_ALL} C)
execute_process(COMMAND ${CMAKE_COMMAND} -E echo "#include <${HEADER}>"
  COMMAND "${COMPILER}" -std=c++17 -fsyntax-only "-I${INCLUDES}" -x c++ -
  OUTPUT_VARIABLE output ERROR_VARIABLE output RESULTS_VARIABLE status)
string(REGEX MATCHALL "[^\n]* error: [^\n]*" errors "${output}")
list(LENGTH errors n)
if(NOT n EQUAL 2 OR NOT output MATCHES "Anabranch needs C\\+\\+20: compile with -std=c\\+\\+20")
  message(FATAL_ERROR "not one #error and the stop after it, but ${n} errors:\n${output}")
endif()
