# What is built. Inside another project (add_subdirectory) only the libraries that it links are, and LibTorch, CUDA and
# MPI, which are slow to find or to build, are taken only when asked for.

option(ANABRANCH_TESTS "Build the tests" ${PROJECT_IS_TOP_LEVEL})
option(ANABRANCH_EXAMPLES "Build the examples" ${PROJECT_IS_TOP_LEVEL})
option(ANABRANCH_BENCH "Build the benches" ${PROJECT_IS_TOP_LEVEL})
option(ANABRANCH_INSTALL "Make the install rules" ${PROJECT_IS_TOP_LEVEL})
option(ANABRANCH_STRICT "For our own work: many warnings, all of them errors" OFF)

# AUTO takes a part when what it needs is found; ON makes its absence an error; OFF leaves it out.
function(anabranch_choice variable default text)
  set(${variable} ${default} CACHE STRING "${text}: AUTO, ON or OFF")
  set_property(CACHE ${variable} PROPERTY STRINGS AUTO ON OFF)
  string(TOUPPER "${${variable}}" value)
  if(NOT value MATCHES "^(AUTO|ON|OFF|TRUE|FALSE|YES|NO|1|0)$")
    message(FATAL_ERROR "anabranch: ${variable} is '${${variable}}'; it must be AUTO, ON or OFF")
  endif()
endfunction()

if(PROJECT_IS_TOP_LEVEL)
  anabranch_choice(ANABRANCH_TORCH AUTO "Model runner on LibTorch (anabranch::torch)")
  anabranch_choice(ANABRANCH_TRAIN AUTO "Training on LibTorch (anabranch::train)")
  anabranch_choice(ANABRANCH_CUDA AUTO "Branch attention for CUDA devices (anabranch::cuda)")
  anabranch_choice(ANABRANCH_MPI AUTO "Several processes over MPI (anabranch::mpi)")
else()
  anabranch_choice(ANABRANCH_TORCH OFF "Model runner on LibTorch (anabranch::torch)")
  anabranch_choice(ANABRANCH_TRAIN OFF "Training on LibTorch (anabranch::train)")
  anabranch_choice(ANABRANCH_CUDA OFF "Branch attention for CUDA devices (anabranch::cuda)")
  anabranch_choice(ANABRANCH_MPI OFF "Several processes over MPI (anabranch::mpi)")
endif()
anabranch_choice(ANABRANCH_CAPI AUTO "The C ABI, libanabranch.so (anabranch::capi)")
anabranch_choice(ANABRANCH_CAPI_STATIC AUTO "The C ABI for static programs, libanabranch.a (anabranch::capi_static)")
anabranch_choice(ANABRANCH_LLAMA AUTO "Host for llama.cpp (anabranch::llama)")
anabranch_choice(ANABRANCH_HF AUTO "Reading of Hugging Face model folders (anabranch::hf)")
anabranch_choice(ANABRANCH_EIGEN AUTO "Exact tiny transformer on Eigen (anabranch::eigen)")
anabranch_choice(ANABRANCH_FMT AUTO "Formatters and drawings with fmt (anabranch::fmt)")
anabranch_choice(ANABRANCH_SIMD AUTO "Choice of the instruction set that kernels use (anabranch::simd)")
anabranch_choice(ANABRANCH_ATTENTION AUTO "Branch attention on the CPU (anabranch::attention)")
anabranch_choice(ANABRANCH_ATTENTION_C AUTO "Branch attention in C, libanabranch_attention.so (anabranch::attention_c)")
anabranch_choice(ANABRANCH_LINEAR AUTO "Products with int8 weights (anabranch::linear)")

set(ANABRANCH_TORCH_DIR "$ENV{ANABRANCH_TORCH_DIR}" CACHE PATH
  "Where LibTorch's CMake package lies (torch.utils.cmake_prefix_path); empty: CMake's own search")
set(ANABRANCH_CUDA_ARCHITECTURES "80-real;90-real;100" CACHE STRING
  "What anabranch::cuda is compiled for, as in CMAKE_CUDA_ARCHITECTURES; 80 is the least")
set(ANABRANCH_LLAMA_DIR "$ENV{ANABRANCH_LLAMA_DIR}" CACHE PATH
  "Where llama.cpp is installed (the prefix of its CMake package); empty: CMake's own search")
set(ANABRANCH_JINJA_DIR "$ENV{ANABRANCH_JINJA_DIR}" CACHE PATH
  "The engine for chat templates that cmake/setup/jinja.sh makes; empty: build/jinja where it is there")
set(ANABRANCH_MODEL_DIR "${PROJECT_SOURCE_DIR}/build/models/smollm2-135m" CACHE PATH
  "Hugging Face folder of the model that tests and examples of a real model use")

# Kernels without optimisation are 80 times slower. On its own the project takes Release where no build type is given.
# Another project's build type is left alone; where it has none, and no -O of its own, ANABRANCH_OPTIMISE makes the
# compiled parts as fast as in Release.
set(ANABRANCH_OPTIMISE OFF)
get_property(multi_config GLOBAL PROPERTY GENERATOR_IS_MULTI_CONFIG)
if(NOT multi_config AND CMAKE_BUILD_TYPE STREQUAL "")
  if(PROJECT_IS_TOP_LEVEL)
    set(CMAKE_BUILD_TYPE Release CACHE STRING "Debug, Release, RelWithDebInfo or MinSizeRel" FORCE)
  elseif(NOT CMAKE_CXX_FLAGS MATCHES "(^| )-O" AND CMAKE_CXX_COMPILER_ID MATCHES "GNU|Clang")
    set(ANABRANCH_OPTIMISE ON)
  endif()
endif()

if(PROJECT_IS_TOP_LEVEL)
  set(CMAKE_CXX_EXTENSIONS OFF)
  set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
  find_program(ANABRANCH_CCACHE ccache)
  mark_as_advanced(ANABRANCH_CCACHE)
  foreach(language C CXX CUDA)
    if(ANABRANCH_CCACHE AND NOT CMAKE_${language}_COMPILER_LAUNCHER)
      set(CMAKE_${language}_COMPILER_LAUNCHER "${ANABRANCH_CCACHE}")
    endif()
  endforeach()
endif()
