# Makes the wheel of capi/python without a network, installs it into an empty folder, and runs the package's tests with
# it from there. PYTHON has pip; PACKAGES: the folder of scikit-build-core; WORK: a folder to write to, as deep below
# SOURCE as the build that this test belongs to, and compiled with its flags (FLAGS, TYPE, TYPE_FLAGS, LAUNCHER, STRICT,
# UNITY), so that a compiler cache has the objects.
cmake_minimum_required(VERSION 3.25)

include("${CMAKE_CURRENT_LIST_DIR}/../build/run_command.cmake")

file(REMOVE_RECURSE "${WORK}")
unset(ENV{ANABRANCH_LIBRARY})
set(ENV{PYTHONPATH} "${PACKAGES}")
set(ENV{CMAKE_BUILD_PARALLEL_LEVEL} 2)
set(settings -C "build-dir=${WORK}" -C "cmake.build-type=${TYPE}")
foreach(definition "CMAKE_CXX_COMPILER=${COMPILER}" "CMAKE_CXX_COMPILER_LAUNCHER=${LAUNCHER}" "CMAKE_CXX_FLAGS=${FLAGS}"
    "${TYPE_FLAGS}" "ANABRANCH_STRICT=${STRICT}" "ANABRANCH_UNITY=${UNITY}")
  list(APPEND settings -C "cmake.define.${definition}")
endforeach()
run("make the wheel" "${PYTHON}" -m pip --disable-pip-version-check wheel --no-deps --no-index --no-build-isolation
  --wheel-dir "${WORK}/dist" ${settings} "${SOURCE}/capi/python")
file(GLOB wheels "${WORK}/dist/*.whl")
if(NOT wheels MATCHES "/anabranch-${VERSION}-py3-none-[a-z0-9_]+\\.whl$")
  message(FATAL_ERROR "not one wheel of version ${VERSION} for every Python 3: ${wheels}")
endif()
run("install it" "${PYTHON}" -m pip --disable-pip-version-check install --no-deps --no-index --target "${WORK}/site"
  "${wheels}")
foreach(file libanabranch.so py.typed decoder.pyi __init__.py)
  if(NOT EXISTS "${WORK}/site/anabranch/${file}")
    message(FATAL_ERROR "the wheel has no ${file}")
  endif()
endforeach()
set(ENV{PYTHONPATH} "")
set(ENV{ANABRANCH_PACKAGE} "${WORK}/site")
foreach(test cache_test decoder_test scheduler_test)
  run("test it: ${test}" "${PYTHON}" "${CMAKE_CURRENT_LIST_DIR}/${test}.py")
  message("${output}")
endforeach()
