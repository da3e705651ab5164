# Configures in WORK, with an nvcc that does not compile, builds nothing, installs: the parts with a library are left out
# and said to be, the others are used by the consumer project. A project that asks for what is not there is told all of it. ./CMakeLists.txt sets the
# variables.
cmake_minimum_required(VERSION 3.25)

include("${CMAKE_CURRENT_LIST_DIR}/run_command.cmake")

file(REMOVE_RECURSE "${WORK}")
set(settings -G "${GENERATOR}" "-DCMAKE_CXX_COMPILER=${COMPILER}" "-DCMAKE_BUILD_TYPE=${TYPE}")
set(ENV{CUDACXX} "${CMAKE_CURRENT_LIST_DIR}/broken_nvcc.sh")
run("configure" ${CMAKE_COMMAND} -S "${SOURCE}" -B "${WORK}/build" ${settings} -DANABRANCH_TORCH=OFF
  -DANABRANCH_TRAIN=OFF -DANABRANCH_CUDA=AUTO -DANABRANCH_LLAMA=AUTO -DANABRANCH_HF=OFF -DANABRANCH_MPI=OFF -DANABRANCH_TESTS=OFF
  -DANABRANCH_EXAMPLES=OFF -DANABRANCH_BENCH=OFF)
foreach(wanted "\n--   cuda +left out: the CUDA compiler [^\n]*broken_nvcc.sh does not compile"
    "\n--   llama +left out: ANABRANCH_HF is OFF\n--   capi +built\n")
  if(NOT output MATCHES "${wanted}")
    message(FATAL_ERROR "the report has no line \"${wanted}\":\n${output}")
  endif()
endforeach()
run("install" ${CMAKE_COMMAND} --install "${WORK}/build" --prefix "${WORK}/prefix")
if(NOT output MATCHES "anabranch: capi was not built, so it is not installed")
  message(FATAL_ERROR "installing does not say that the C library is left out:\n${output}")
endif()
file(GLOB_RECURSE dangling "${WORK}/prefix/*capi*.cmake" "${WORK}/prefix/*/anabranch.pc")
if(dangling)
  message(FATAL_ERROR "installed for a library that was not built: ${dangling}")
endif()

message("ask for CUDA with a compiler that does not work")
execute_process(COMMAND ${CMAKE_COMMAND} "${WORK}/build" -DANABRANCH_CUDA=ON
  RESULT_VARIABLE status OUTPUT_QUIET ERROR_VARIABLE output)
if(status EQUAL 0 OR NOT output MATCHES "ANABRANCH_CUDA is ON, but the CUDA compiler[ \n]+[^ \n]*broken_nvcc.sh")
  message(FATAL_ERROR "the failure (${status}) does not name the compiler:\n${output}")
endif()

list(APPEND settings -S "${CONSUMER}" -DCONSUMER_WAY=find_package "-DCMAKE_PREFIX_PATH=${WORK}/prefix")
run("use what is there" ${CMAKE_COMMAND} ${settings} -B "${WORK}/core" -DCONSUMER_PARTS=core)

message("ask for what is not there")
execute_process(COMMAND ${CMAKE_COMMAND} ${settings} -B "${WORK}/missing" "-DCONSUMER_PARTS=core,cro,capi,fnt"
  RESULT_VARIABLE status OUTPUT_QUIET ERROR_VARIABLE output)
foreach(wanted "no component is called 'cro'" "no component is called 'fnt'" "capi was not built into this install"
    "Components of this install: core")
  string(FIND "${output}" "${wanted}" found)
  if(status EQUAL 0 OR found EQUAL -1)
    message(FATAL_ERROR "the failure (${status}) does not say \"${wanted}\":\n${output}")
  endif()
endforeach()
