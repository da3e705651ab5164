# Configures without a build type in WORK: the project itself takes Release, and as a subdirectory of the consumer
# project its compiled parts get -O3, unless that project has an -O of its own, and are built only where it links them.
# ./CMakeLists.txt sets the variables.
cmake_minimum_required(VERSION 3.25)

include("${CMAKE_CURRENT_LIST_DIR}/run_command.cmake")

file(REMOVE_RECURSE "${WORK}")
unset(ENV{CMAKE_BUILD_TYPE})
unset(ENV{CXXFLAGS})
set(settings -G "${GENERATOR}" "-DCMAKE_CXX_COMPILER=${COMPILER}" -DANABRANCH_TORCH=OFF -DANABRANCH_TRAIN=OFF
  -DANABRANCH_CUDA=OFF -DANABRANCH_LLAMA=OFF -DANABRANCH_HF=OFF -DANABRANCH_MPI=OFF -DANABRANCH_TESTS=OFF -DANABRANCH_EXAMPLES=OFF
  -DANABRANCH_BENCH=OFF)

run("configure the project itself" ${CMAKE_COMMAND} -S "${SOURCE}" -B "${WORK}/top" ${settings})
load_cache("${WORK}/top" READ_WITH_PREFIX top_ CMAKE_BUILD_TYPE)
if(NOT top_CMAKE_BUILD_TYPE STREQUAL "Release" OR NOT output MATCHES "anabranch [0-9.]+, Release:")
  message(FATAL_ERROR "the build type is '${top_CMAKE_BUILD_TYPE}', not Release:\n${output}")
endif()
if(NOT output MATCHES "\n--   core +built\n" OR NOT output MATCHES "\n--   torch +left out: [^\n]+\n")
  message(FATAL_ERROR "configuring has no line for each part:\n${output}")
endif()

# Sets `n_commands` to how many sources of the library are compiled in FOLDER, `n_optimised` to those with -O3.
function(count_commands folder)
  file(STRINGS "${folder}/compile_commands.json" commands REGEX "\"command\": ")
  list(FILTER commands INCLUDE REGEX " -c ${SOURCE}/(src|capi)/")
  list(LENGTH commands n)
  list(FILTER commands INCLUDE REGEX " -O3 ")
  list(LENGTH commands n_with)
  set(n_commands ${n} PARENT_SCOPE)
  set(n_optimised ${n_with} PARENT_SCOPE)
endfunction()

list(APPEND settings -S "${CONSUMER}" "-DANABRANCH_SOURCE=${SOURCE}" -DCONSUMER_WAY=add_subdirectory
  -DCONSUMER_PARTS=core -DCMAKE_EXPORT_COMPILE_COMMANDS=ON)
run("configure a project without a build type" ${CMAKE_COMMAND} ${settings} -B "${WORK}/none")
count_commands("${WORK}/none")
if(n_commands EQUAL 0 OR NOT n_optimised EQUAL n_commands)
  message(FATAL_ERROR "${n_optimised} of ${n_commands} sources are compiled with -O3")
endif()
# Nothing of it is compiled for a project that links the core alone.
run("build a project that links the core alone" ${CMAKE_COMMAND} --build "${WORK}/none")
file(GLOB_RECURSE compiled "${WORK}/none/anabranch/*.o" "${WORK}/none/anabranch/*.a" "${WORK}/none/anabranch/*.so*")
if(compiled OR NOT EXISTS "${WORK}/none/consumer")
  message(FATAL_ERROR "built for a project that links the core alone: ${compiled}")
endif()

# With install rules inside, installing leaves out what was not built.
run("configure a project that installs it" ${CMAKE_COMMAND} ${settings} -B "${WORK}/installs" -DANABRANCH_INSTALL=ON)
run("install it" ${CMAKE_COMMAND} --install "${WORK}/installs" --prefix "${WORK}/prefix")
file(GLOB_RECURSE installed "${WORK}/prefix/*/anabranch-*.cmake")
if(NOT installed MATCHES "/anabranch-core.cmake" OR installed MATCHES "/anabranch-capi.cmake")
  message(FATAL_ERROR "installed without having been built: ${installed}")
endif()

run("configure a project with -O1" ${CMAKE_COMMAND} ${settings} -B "${WORK}/own" -DCMAKE_CXX_FLAGS=-O1)
count_commands("${WORK}/own")
if(n_commands EQUAL 0 OR NOT n_optimised EQUAL 0)
  message(FATAL_ERROR "${n_optimised} of ${n_commands} sources are compiled with -O3, against the project's -O1")
endif()
