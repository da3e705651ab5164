# VERSION, that of the CMake project, is also what SOURCE tells to those who do not ask CMake.
cmake_minimum_required(VERSION 3.25)

string(REPLACE "." ";" numbers "${VERSION}")
list(GET numbers 0 major)
list(GET numbers 1 minor)
list(GET numbers 2 patch)

# expect(<file> <regular expression>...): each must match somewhere in the file.
function(expect file)
  file(READ "${SOURCE}/${file}" text)
  foreach(expression IN LISTS ARGN)
    if(NOT text MATCHES "${expression}")
      message(SEND_ERROR "${file} is not of version ${VERSION}: nothing there is like ${expression}")
    endif()
  endforeach()
endfunction()

foreach(pair include/anabranch/version.hpp=ANABRANCH capi/anabranch.h=ANB)
  string(REGEX MATCH "^(.*)=(.*)$" pair "${pair}")
  expect("${CMAKE_MATCH_1}" "\n#define ${CMAKE_MATCH_2}_VERSION_MAJOR ${major}\n"
    "\n#define ${CMAKE_MATCH_2}_VERSION_MINOR ${minor}\n" "\n#define ${CMAKE_MATCH_2}_VERSION_PATCH ${patch}\n")
endforeach()
string(REPLACE "." "\\." escaped "${VERSION}")
expect(capi/python/pyproject.toml "\nversion = \"${escaped}\"\n")
expect(capi/rust/Cargo.toml "\nversion = \"${escaped}\"\n")
expect(cmake/packaging/vcpkg/vcpkg.json "\n  \"version\": \"${escaped}\",\n")
expect(capi/layout.json "\n \"version\": \"${escaped}\",\n")
expect(CHANGELOG.md "^[^#]*# Changes\n[^#]*## ${escaped}[,\n]")
