# The functions that the modules of src/, tests/, examples/ and bench/ are described with. Sources are listed, never
# globbed. A program that links a target which is not there is left out, with a line that says so.

# Sets `missing` in the caller to those of the targets that do not exist.
function(anabranch_missing_targets)
  set(absent "")
  foreach(target IN LISTS ARGN)
    if(NOT TARGET ${target})
      list(APPEND absent ${target})
    endif()
  endforeach()
  list(JOIN absent ", " absent)
  set(missing "${absent}" PARENT_SCOPE)
endfunction()

# anabranch_optimise(<target>): what a user without a build type gets of a compiled part; see ANABRANCH_OPTIMISE.
function(anabranch_optimise target)
  if(ANABRANCH_OPTIMISE)
    target_compile_options(${target} PRIVATE "$<$<COMPILE_LANGUAGE:C,CXX,CUDA>:-O3>")
  endif()
endfunction()

# anabranch_library(<part> SOURCES <file>... [PUBLIC <target>...] [PRIVATE <target>...])
# The compiled part anabranch::<part>, with core and the public headers.
function(anabranch_library part)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "SOURCES;PUBLIC;PRIVATE")
  add_library(anabranch_${part} ${arg_SOURCES})
  if(NOT "hwy::hwy" IN_LIST arg_PRIVATE)  # a file of Highway's kernels includes itself, once for each instruction set
    anabranch_unity(anabranch_${part})
  endif()
  add_library(anabranch::${part} ALIAS anabranch_${part})
  anabranch_optimise(anabranch_${part})
  target_link_libraries(anabranch_${part} PUBLIC anabranch::core ${arg_PUBLIC} PRIVATE ${arg_PRIVATE})
  set_target_properties(anabranch_${part} PROPERTIES
    EXPORT_NAME ${part}
    POSITION_INDEPENDENT_CODE ON
    SOVERSION ${PROJECT_VERSION_MAJOR}.${PROJECT_VERSION_MINOR}
    VERSION ${PROJECT_VERSION})
endfunction()

# anabranch_header_library(<part> [LINK <target>...]): the header-only part anabranch::<part>.
function(anabranch_header_library part)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "LINK")
  add_library(anabranch_${part} INTERFACE)
  add_library(anabranch::${part} ALIAS anabranch_${part})
  target_link_libraries(anabranch_${part} INTERFACE ${arg_LINK})
  set_target_properties(anabranch_${part} PROPERTIES EXPORT_NAME ${part})
endfunction()

# anabranch_unoptimised(<target>): -O0 in our own builds (ANABRANCH_UNITY), for a program that takes longer to compile than
# to run. What has to be fast in it lies in the libraries or in cmake/unoptimised, whose object comes first at its link:
# of several definitions of an inline function the linker takes the first.
function(anabranch_unoptimised target)
  if(NOT ANABRANCH_UNITY)
    return()
  endif()
  target_compile_options(${target} PRIVATE "$<$<COMPILE_LANGUAGE:CXX>:-O0>")
  get_target_property(type ${target} TYPE)
  if(type STREQUAL "EXECUTABLE")
    if(NOT TARGET anabranch_sampler_loops)
      add_library(anabranch_sampler_loops OBJECT "${PROJECT_SOURCE_DIR}/cmake/unoptimised/sampler_loops.cpp")
      target_link_libraries(anabranch_sampler_loops PRIVATE anabranch::core)
      target_compile_options(anabranch_sampler_loops PRIVATE -O3)
      set_target_properties(anabranch_sampler_loops PROPERTIES POSITION_INDEPENDENT_CODE ON)
    endif()
    add_dependencies(${target} anabranch_sampler_loops)
    target_link_options(${target} PRIVATE "$<TARGET_OBJECTS:anabranch_sampler_loops>")
    set_property(TARGET ${target} APPEND PROPERTY LINK_DEPENDS "$<TARGET_OBJECTS:anabranch_sampler_loops>")
  endif()
endfunction()

# anabranch_one_thread(<test>...): ctest runs as many tests as there are cores, so a test with several threads only takes
# CPU time for waiting, and starves whatever runs beside it. Threads are tested by `threads` and `torch`.
function(anabranch_one_thread)
  foreach(test IN LISTS ARGN)
    if(TEST ${test})
      set_tests_properties(${test} PROPERTIES ENVIRONMENT_MODIFICATION "OMP_NUM_THREADS=set:1")
    endif()
  endforeach()
endfunction()

# anabranch_test(<name> SOURCES <file>... [LINK <target>...] [LABELS <label>...] [SLOW] [ONE_ENTRY] [UNOPTIMISED])
# One Catch2 program, anabranch_test_<name>, with one ctest entry per TEST_CASE, or one in all with ONE_ENTRY (for
# programs that are slow to start). core and tests/catch.hpp are there without asking. Tests run in the repository's
# root folder; ANABRANCH_MODEL in the environment names the model folder (which need not exist). SLOW gives more time
# and the label `slow`, UNOPTIMISED is anabranch_unoptimised(). Every entry has the label <name>.
function(anabranch_test name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "SLOW;ONE_ENTRY;UNOPTIMISED" "" "SOURCES;LINK;LABELS")
  anabranch_missing_targets(${arg_LINK})
  if(missing)
    anabranch_left_out("test ${name}" "no ${missing}")
    return()
  endif()
  set(program anabranch_test_${name})
  add_executable(${program} ${arg_SOURCES})
  target_link_libraries(${program} PRIVATE anabranch_test_main anabranch::core ${arg_LINK})
  # A compiler cache gives one object to several checkouts: messages name files from the repository's root.
  target_compile_options(${program} PRIVATE "-fmacro-prefix-map=${PROJECT_SOURCE_DIR}/=")
  anabranch_unity(${program})
  if(arg_UNOPTIMISED)
    anabranch_unoptimised(${program})
  endif()
  set(labels ${name} ${arg_LABELS})
  set(timeout 300)
  if(arg_SLOW)
    list(APPEND labels slow)
    set(timeout 1500)
  endif()
  set(environment "ANABRANCH_MODEL=${ANABRANCH_MODEL_DIR}"
    "ANABRANCH_WEIGHT_CACHE=${PROJECT_SOURCE_DIR}/build/kept-weights")  # never the user's own
  if(arg_ONE_ENTRY)
    add_test(NAME ${name} COMMAND ${program} WORKING_DIRECTORY "${PROJECT_SOURCE_DIR}")
    set_tests_properties(${name} PROPERTIES LABELS "${labels}" TIMEOUT ${timeout} ENVIRONMENT "${environment}")
  else()
    list(JOIN labels "\\;" labels)
    catch_discover_tests(${program}
      TEST_PREFIX "${name}:"
      WORKING_DIRECTORY "${PROJECT_SOURCE_DIR}"
      PROPERTIES LABELS "${labels}" TIMEOUT ${timeout} ENVIRONMENT "${environment}")
  endif()
endfunction()

# anabranch_program(<kind> <name> <target> SOURCES <file>... [LINK <target>...])
# The program <target>, with core and what it links. A <kind> that links what is not there is left out.
function(anabranch_program kind name target)
  cmake_parse_arguments(PARSE_ARGV 3 arg "" "" "SOURCES;LINK")
  anabranch_missing_targets(${arg_LINK})
  if(missing)
    anabranch_left_out("${kind} ${name}" "no ${missing}")
    return()
  endif()
  add_executable(${target} ${arg_SOURCES})
  target_link_libraries(${target} PRIVATE anabranch::core ${arg_LINK})
endfunction()

# anabranch_example(<name> SOURCES <file>... [LINK <target>...] [ARGUMENTS <argument>...])
# The program anabranch_<name> in examples/. With ARGUMENTS (or `ARGUMENTS ""`) a test runs it like that.
function(anabranch_example name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "SOURCES;LINK;ARGUMENTS")
  anabranch_program(example ${name} anabranch_${name} SOURCES ${arg_SOURCES} LINK ${arg_LINK})
  if(NOT TARGET anabranch_${name})
    return()
  endif()
  anabranch_unity(anabranch_${name})
  anabranch_unoptimised(anabranch_${name})
  add_dependencies(anabranch_examples anabranch_${name})
  if(ANABRANCH_TESTS AND (DEFINED arg_ARGUMENTS OR "ARGUMENTS" IN_LIST ARGN))
    add_test(NAME "examples:${name} runs" COMMAND anabranch_${name} ${arg_ARGUMENTS}
      WORKING_DIRECTORY "${PROJECT_SOURCE_DIR}")
    set_tests_properties("examples:${name} runs" PROPERTIES LABELS examples TIMEOUT 300)
  endif()
endfunction()

# anabranch_bench(<name> SOURCES <file>... [LINK <target>...])
# The google-benchmark program anabranch_bench_<name>, which `bench/run <name>` builds and runs. It brings its own
# main, because its last line is the figure.
function(anabranch_bench name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "SOURCES;LINK")
  anabranch_program(bench ${name} anabranch_bench_${name} SOURCES ${arg_SOURCES} LINK benchmark::benchmark ${arg_LINK})
  if(TARGET anabranch_bench_${name})  # in our own builds only that it compiles counts: figures come from the preset release
    anabranch_unoptimised(anabranch_bench_${name})
  endif()
endfunction()
