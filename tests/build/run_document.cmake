# Runs PROGRAM, a block of a document, in ROOT: it returns 0 and prints something like EXPECTED, if that is given. Without
# MODEL, a file that it needs, it is left out.
cmake_minimum_required(VERSION 3.25)

if(NOT MODEL STREQUAL "" AND NOT EXISTS "${MODEL}")
  message("left out: no ${MODEL}; examples/run or tests/run makes it")
  return()
endif()
execute_process(COMMAND "${PROGRAM}" WORKING_DIRECTORY "${ROOT}"
  OUTPUT_VARIABLE output ERROR_VARIABLE errors RESULT_VARIABLE status)
if(NOT status EQUAL 0)
  message(FATAL_ERROR "${PROGRAM} returned ${status}:\n${output}${errors}")
endif()
if(NOT EXPECTED STREQUAL "" AND NOT output MATCHES "${EXPECTED}")
  message(FATAL_ERROR "${PROGRAM} prints nothing like '${EXPECTED}':\n${output}")
endif()
