# Builds and runs a program in C in WORK: found by find_package or by pkg-config in an install tree made there, or with
# the source folder as a subdirectory (WAY). With attention_c among PARTS (with commas) another one too, which uses that
# library. ../CMakeLists.txt sets the variables.
cmake_minimum_required(VERSION 3.25)

include("${CMAKE_CURRENT_LIST_DIR}/run_command.cmake")

file(REMOVE_RECURSE "${WORK}")
file(MAKE_DIRECTORY "${WORK}")
if(NOT WAY STREQUAL "add_subdirectory")
  run("install" ${CMAKE_COMMAND} --install "${BUILD}" --prefix "${WORK}/prefix")
endif()

if(WAY STREQUAL "pkg_config")
  # A prefix may be moved: what pkg-config tells follows the file.
  file(RENAME "${WORK}/prefix" "${WORK}/moved")
  set(ENV{PKG_CONFIG_PATH} "${WORK}/moved/${LIBDIR}/pkgconfig")
  separate_arguments(own_flags UNIX_COMMAND "${FLAGS}")
  function(build_and_run package source)
    run("version" "${PKG_CONFIG}" --modversion ${package})
    string(STRIP "${output}" version)
    if(NOT version STREQUAL VERSION)
      message(FATAL_ERROR "pkg-config tells version ${version} of ${package}, the project is ${VERSION}")
    endif()
    run("flags" "${PKG_CONFIG}" --cflags --libs ${package})
    separate_arguments(flags UNIX_COMMAND "${output}")
    run("compile" "${CC}" -std=c99 -Wall -Wextra -Werror ${own_flags} "${CONSUMER}/${source}" -o "${WORK}/${package}"
      ${flags} "-Wl,-rpath,${WORK}/moved/${LIBDIR}")
    run("run" "${WORK}/${package}")
    message("${output}")
  endfunction()
  build_and_run(anabranch main.c)
  if(PARTS MATCHES "attention_c")
    build_and_run(anabranch_attention attention.c)
  endif()
  return()
endif()

set(settings -G "${GENERATOR}" "-DCMAKE_C_COMPILER=${CC}" "-DCMAKE_C_FLAGS=${FLAGS}" "-DCMAKE_BUILD_TYPE=${TYPE}"
  "-DCONSUMER_WAY=${WAY}" "-DCONSUMER_PARTS=${PARTS}")
if(WAY STREQUAL "find_package")
  list(APPEND settings "-DCMAKE_PREFIX_PATH=${WORK}/prefix")
else()
  list(APPEND settings "-DANABRANCH_SOURCE=${SOURCE}" "-DCMAKE_CXX_COMPILER=${CXX}" "-DCMAKE_CXX_FLAGS=${FLAGS}"
    "-DCMAKE_CXX_COMPILER_LAUNCHER=${LAUNCHER}" "-D${TYPE_FLAGS}" -DCMAKE_CXX_EXTENSIONS=OFF
    "-DANABRANCH_STRICT=${STRICT}" "-DANABRANCH_UNITY=${UNITY}" -DANABRANCH_HF=OFF -DANABRANCH_CAPI=ON)
endif()
run("configure" ${CMAKE_COMMAND} -S "${CONSUMER}" -B "${WORK}" ${settings})
run("build" ${CMAKE_COMMAND} --build "${WORK}" --target consumer_c --parallel 2)
run("run" "${WORK}/consumer_c")
message("${output}")
if(PARTS MATCHES "attention_c")
  run("run" "${WORK}/consumer_attention_c")
  message("${output}")
endif()
