# What the tests of packages share.
include("${CMAKE_CURRENT_LIST_DIR}/../build/run_command.cmake")

# As the build that a test belongs to is configured.
set(same_flags "-DCMAKE_C_COMPILER=${CC}" "-DCMAKE_CXX_COMPILER=${CXX}" "-DCMAKE_CXX_COMPILER_LAUNCHER=${LAUNCHER}"
  "-DCMAKE_CXX_FLAGS=${FLAGS}" "-DCMAKE_BUILD_TYPE=${TYPE}" "-D${TYPE_FLAGS}" "-DANABRANCH_STRICT=${STRICT}"
  "-DANABRANCH_UNITY=${UNITY}")

# check_example(<folder>): its programs run and print the version and the pass.
function(check_example folder)
  foreach(program branches_c branches_cpp)
    run("run ${program}" "${folder}/${program}")
    set(pass "anabranch ${VERSION}\n(token 1[1-3] position [0-9] slot [0-9]+\n)+$")
    if(NOT output MATCHES "${pass}" OR NOT output MATCHES "token 12 position 4 slot")
      message(FATAL_ERROR "${program} does not print the pass of version ${VERSION}:\n${output}")
    endif()
  endforeach()
endfunction()

# consume(<cmake> <prefix> <folder>): builds the example against an installed prefix and runs it.
function(consume cmake prefix folder)
  file(REMOVE_RECURSE "${folder}")
  run("configure the example" "${cmake}" -S "${EXAMPLE}" -B "${folder}" -G Ninja "-DCMAKE_PREFIX_PATH=${prefix}"
    "-DCMAKE_C_COMPILER=${CC}" "-DCMAKE_CXX_COMPILER=${CXX}" "-DCMAKE_CXX_COMPILER_LAUNCHER=${LAUNCHER}"
    "-DCMAKE_BUILD_TYPE=Debug")
  if(output MATCHES "CMake [A-Za-z]*( )?Warning")
    message(FATAL_ERROR "the package makes ${cmake} warn:\n${output}")
  endif()
  run("build the example" "${cmake}" --build "${folder}")
  check_example("${folder}")
endfunction()
