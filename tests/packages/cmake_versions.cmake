# Another CMake (OTHER) consumes what this build installs, and configures the project where it is the newest (AGE).
cmake_minimum_required(VERSION 3.25)
include("${CMAKE_CURRENT_LIST_DIR}/consume.cmake")

file(REMOVE_RECURSE "${WORK}")
run("version" "${OTHER}" --version)
string(REGEX MATCH "[0-9.]+" number "${output}")
message("CMake ${number}")
if(AGE STREQUAL "oldest" AND NOT number MATCHES "^3\\.22\\.")
  message(FATAL_ERROR "the oldest CMake that documents name is 3.22")
endif()

run("install" ${CMAKE_COMMAND} --install "${BUILD}" --prefix "${WORK}/prefix")
consume("${OTHER}" "${WORK}/prefix" "${WORK}/example")

if(AGE STREQUAL "newest")
  run("configure the project" "${OTHER}" -S "${SOURCE}" -B "${WORK}/project" -G Ninja ${same_flags}
    -DANABRANCH_TORCH=OFF -DANABRANCH_LLAMA=OFF -DANABRANCH_CUDA=OFF
    -DANABRANCH_MPI=OFF)
  if(output MATCHES "CMake [A-Za-z]*( )?Warning")
    message(FATAL_ERROR "CMake ${number} warns of the project:\n${output}")
  endif()
  if(NOT output MATCHES "capi +built" OR NOT output MATCHES "tests +built")
    message(FATAL_ERROR "CMake ${number} does not build all parts:\n${output}")
  endif()
endif()
