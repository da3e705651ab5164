# Compiles the header alone, twice in one file, and in use, as C89, C99, C11, C++11 and C++20, with every warning an
# error. CAPI: the headers' folder; HERE: this folder; WORK: a folder to write to; CC, CXX: the compilers.
cmake_minimum_required(VERSION 3.25)
set(strict -Wall -Wextra -Wpedantic -pedantic-errors -Wconversion -Wshadow -Wundef -Wcast-qual
  -Wmissing-field-initializers -Werror -fsyntax-only)

function(compile compiler language standard source)
  execute_process(COMMAND "${compiler}" -std=${standard} ${strict} ${ARGN} "-I${CAPI}" -x ${language} "${source}"
    RESULT_VARIABLE status ERROR_VARIABLE output)
  if(NOT status EQUAL 0)
    message(FATAL_ERROR "${compiler} -std=${standard} ${source}:\n${output}")
  endif()
endfunction()

file(MAKE_DIRECTORY "${WORK}")
set(include "#include \"anabranch_attention.h\"\n")
file(WRITE "${WORK}/alone.c" "${include}${include}int anabranch_empty(int x);\n")
foreach(source "${WORK}/alone.c" "${HERE}/header_use.c")
  foreach(standard c89 c99 c11)
    compile("${CC}" c ${standard} "${source}" -Wstrict-prototypes -Wold-style-definition)
  endforeach()
  foreach(standard c++11 c++20)
    compile("${CXX}" c++ ${standard} "${source}")
  endforeach()
endforeach()
message("c89, c99, c11, c++11, c++20")
