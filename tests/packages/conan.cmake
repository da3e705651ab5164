# `conan create` of the recipe in cmake/packaging/conan in a home of its own that knows no remote; its test_package
# builds and runs the example. Then the graph of the other options.
cmake_minimum_required(VERSION 3.25)
include("${CMAKE_CURRENT_LIST_DIR}/consume.cmake")

file(REMOVE_RECURSE "${WORK}")
file(MAKE_DIRECTORY "${WORK}")
set(ENV{CONAN_HOME} "${WORK}/home")
set(ENV{PYTHONPATH} "${CONAN_PACKAGES}")
set(ENV{PYTHONDONTWRITEBYTECODE} 1)
set(ENV{CC} "${CC}")
set(ENV{CXX} "${CXX}")
set(ENV{CMAKE_CXX_COMPILER_LAUNCHER} "${LAUNCHER}")
set(conan "${CONAN_PYTHON}" "${CONAN_PACKAGES}/bin/conan")
set(recipe "${SOURCE}/cmake/packaging/conan")

run("detect the compiler" ${conan} profile detect --name default)
run("know no remote" ${conan} remote disable "*")

# What the build that this test belongs to was configured with.
string(REGEX REPLACE "^[^=]*=" "" type_flags "${TYPE_FLAGS}")
string(REGEX REPLACE "=.*" "" type_flags_name "${TYPE_FLAGS}")
set(variables "{'CMAKE_CXX_FLAGS': '${FLAGS}', '${type_flags_name}': '${type_flags}', 'ANABRANCH_STRICT': '${STRICT}'")
string(APPEND variables ", 'ANABRANCH_UNITY': '${UNITY}'}")
set(same -s "build_type=${TYPE}" -s compiler.cppstd=20 -c "tools.cmake.cmaketoolchain:generator=Ninja"
  -c "&:tools.cmake.cmaketoolchain:extra_variables=${variables}"
  -c "tools.cmake.cmake_layout:test_folder=${WORK}/test" -c "tools.cmake.cmaketoolchain:user_presets=")

run("conan create" ${conan} create "${recipe}" --no-remote ${same} --build=missing --test-folder=test_package)
set(pass "anabranch ${VERSION}\ntoken 11 position 0 slot 0\n")
if(NOT output MATCHES "Package '[0-9a-f]+' created" OR NOT output MATCHES "anabranch/${VERSION}#" OR
    NOT output MATCHES "${pass}.*${pass}")
  message(FATAL_ERROR "no package of version ${VERSION}, or its example does not run:\n${output}")
endif()

# With fmt the package needs that of fmt, which no remote gives here.
execute_process(COMMAND ${conan} graph info "${recipe}" --no-remote ${same} -o "&:fmt=True" RESULT_VARIABLE status
  OUTPUT_VARIABLE output ERROR_VARIABLE output)
if(status EQUAL 0 OR NOT output MATCHES "Package 'fmt/\\[>=9\\]' not resolved")
  message(FATAL_ERROR "the option fmt asks for no package fmt (${status}):\n${output}")
endif()
execute_process(COMMAND ${conan} graph info "${recipe}" --no-remote ${same} -s compiler.cppstd=17
  RESULT_VARIABLE status OUTPUT_VARIABLE output ERROR_VARIABLE output)
if(NOT output MATCHES "Current cppstd \\(17\\) is lower than the required C\\+\\+ standard \\(20\\)")
  message(FATAL_ERROR "C++17 is not refused (${status}):\n${output}")
endif()
