# The library's ABI, as its debug information has it, is the baseline's. LIBRARY, CAPI, HERE, ABIDIFF.
cmake_minimum_required(VERSION 3.25)

execute_process(COMMAND "${ABIDIFF}" --drop-private-types --headers-dir2 "${CAPI}" "${HERE}/abi/baseline.abi.xml"
  "${LIBRARY}" RESULT_VARIABLE status OUTPUT_VARIABLE output ERROR_VARIABLE output)
if(NOT status EQUAL 0)
  message(FATAL_ERROR "the ABI is not that of abi/baseline.abi.xml (README.md says how a change is accepted):\n${output}")
endif()
# abidiff finds nothing in a library without debug information either.
if(NOT output STREQUAL "")
  message(FATAL_ERROR "${output}")
endif()
execute_process(COMMAND "${READELF}" -S "${LIBRARY}" OUTPUT_VARIABLE sections COMMAND_ERROR_IS_FATAL ANY)
if(NOT sections MATCHES "\\.debug_info")
  message(FATAL_ERROR "the library has no debug information to compare")
endif()
message("the same")
