# Configures, builds and runs the consumer project in WORK, from an install tree made there (WAY=find_package) or with
# the source folder as a subdirectory (WAY=add_subdirectory). PARTS has commas; ../CMakeLists.txt sets the variables.
cmake_minimum_required(VERSION 3.25)

include("${CMAKE_CURRENT_LIST_DIR}/run_command.cmake")

file(REMOVE_RECURSE "${WORK}")
set(settings
  -G "${GENERATOR}"
  "-DCMAKE_CXX_COMPILER=${COMPILER}"
  "-DCMAKE_CXX_COMPILER_LAUNCHER=${LAUNCHER}"
  "-DCMAKE_CXX_FLAGS=${FLAGS}"
  "-DCMAKE_BUILD_TYPE=${TYPE}"
  "-D${TYPE_FLAGS}"
  "-DCONSUMER_PARTS=${PARTS}"
  "-DCONSUMER_WAY=${WAY}")

if(WAY STREQUAL "find_package")
  run("install" ${CMAKE_COMMAND} --install "${BUILD}" --prefix "${WORK}/prefix")
  list(APPEND settings "-DCMAKE_PREFIX_PATH=${WORK}/prefix" "-DTorch_DIR=${TORCH_DIR}"
    "-Dllama_DIR=${LLAMA_DIR}")
else()
  list(APPEND settings "-DANABRANCH_SOURCE=${SOURCE}" "-DANABRANCH_TORCH_DIR=${TORCH_DIR}/.."
    "-Dllama_DIR=${LLAMA_DIR}"
    # The same command lines as in the build that this test belongs to: a compiler cache then has the objects.
    -DCMAKE_CXX_EXTENSIONS=OFF "-DANABRANCH_STRICT=${STRICT}" "-DANABRANCH_UNITY=${UNITY}")
  if(PARTS MATCHES "mpi")
    list(APPEND settings -DANABRANCH_MPI=ON)
  endif()
  if(PARTS MATCHES "torch")
    list(APPEND settings -DANABRANCH_TORCH=ON)
  endif()
  if(PARTS MATCHES "train")
    list(APPEND settings -DANABRANCH_TRAIN=ON)
  endif()
  if(PARTS MATCHES "cuda")
    list(APPEND settings -DANABRANCH_CUDA=ON "-DCMAKE_CUDA_COMPILER_LAUNCHER=${CUDA_LAUNCHER}")
  endif()
endif()

run("configure" ${CMAKE_COMMAND} -S "${CONSUMER}" -B "${WORK}" ${settings})
message("${output}")
if(NOT output MATCHES "consumer parts: ${PARTS}\n")
  message(FATAL_ERROR "not all of ${PARTS} were used")
endif()
run("build" ${CMAKE_COMMAND} --build "${WORK}" --parallel 2)
run("run" "${WORK}/consumer")
message("${output}")
if(PARTS MATCHES "torch" AND WAY STREQUAL "find_package")
  run("run with LibTorch" "${WORK}/consumer_torch")
endif()
if(PARTS MATCHES "train" AND WAY STREQUAL "find_package")
  run("run the trainer" "${WORK}/consumer_train")
endif()
