# Configures in WORK with parts that are switched off: those that need them say which option it was. ./CMakeLists.txt sets
# the variables.
cmake_minimum_required(VERSION 3.25)

include("${CMAKE_CURRENT_LIST_DIR}/run_command.cmake")

file(REMOVE_RECURSE "${WORK}")
set(settings -S "${SOURCE}" -G "${GENERATOR}" "-DCMAKE_CXX_COMPILER=${COMPILER}" "-DCMAKE_BUILD_TYPE=${TYPE}"
  -DANABRANCH_TORCH=OFF -DANABRANCH_TRAIN=OFF -DANABRANCH_CUDA=OFF -DANABRANCH_LLAMA=OFF -DANABRANCH_HF=OFF -DANABRANCH_MPI=OFF
  -DANABRANCH_TESTS=OFF -DANABRANCH_EXAMPLES=OFF -DANABRANCH_BENCH=OFF)

function(expect_lines)
  foreach(wanted IN LISTS ARGN)
    if(NOT output MATCHES "\n--   ${wanted}\n")
      message(FATAL_ERROR "the report has no line \"${wanted}\":\n${output}")
    endif()
  endforeach()
endfunction()

run("configure without attention" ${CMAKE_COMMAND} ${settings} -B "${WORK}/attention" -DANABRANCH_ATTENTION=OFF)
expect_lines("attention +left out: ANABRANCH_ATTENTION is OFF" "attention_c +left out: ANABRANCH_ATTENTION is OFF"
  "mpi +left out: ANABRANCH_MPI is OFF")

run("configure without what both need" ${CMAKE_COMMAND} ${settings} -B "${WORK}/attention" -DANABRANCH_ATTENTION=AUTO
  -DANABRANCH_SIMD=OFF -DANABRANCH_CAPI=OFF)
expect_lines("linear +left out: ANABRANCH_SIMD is OFF" "attention_c +left out: ANABRANCH_SIMD is OFF, and ANABRANCH_CAPI is OFF"
  "capi_static +left out: ANABRANCH_CAPI is OFF")

file(STRINGS "${WORK}/attention/CPackConfig.cmake" packages REGEX "DEBIAN_DEV_PACKAGE_(RECOMMENDS|SUGGESTS)")
if(NOT packages MATCHES "SUGGESTS \"libfmt-dev, libeigen3-dev\"" OR packages MATCHES "RECOMMENDS \"[^\"]")
  message(FATAL_ERROR "of libanabranch-dev without hf and simd: ${packages}")
endif()

message("ask for a part without what it needs")
execute_process(COMMAND ${CMAKE_COMMAND} "${WORK}/attention" -DANABRANCH_ATTENTION_C=ON
  RESULT_VARIABLE status OUTPUT_QUIET ERROR_VARIABLE output)
if(status EQUAL 0 OR NOT output MATCHES "ANABRANCH_ATTENTION_C is ON, but[ \n]+ANABRANCH_SIMD[ \n]+is[ \n]+OFF")
  message(FATAL_ERROR "the failure (${status}) does not name the option:\n${output}")
endif()
