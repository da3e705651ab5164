# Compiles each header alone, the first two in either order, and header_use.c, as C89, C99, C11, C++11 and C++20, with every warning
# an error. CAPI: the headers' folder; HERE: this folder; WORK: a folder to write to; CC and CXX: compilers, with commas.
cmake_minimum_required(VERSION 3.25)
set(strict -Wall -Wextra -Wpedantic -pedantic-errors -Wconversion -Wshadow -Wundef -Wcast-qual -Wmissing-field-initializers
  -Werror -fsyntax-only)
set(includes
  "#include \"anabranch.h\"\n"
  "#include \"anabranch_decoder.h\"\n"
  "#include \"anabranch.h\"\n#include \"anabranch_decoder.h\"\n"
  "#include \"anabranch_decoder.h\"\n#include \"anabranch.h\"\n"
  "#include \"anabranch_scheduler.h\"\n")
set(n_compiled 0)

function(compile language compiler)
  execute_process(COMMAND "${compiler}" ${ARGN} ${strict} "-I${CAPI}" RESULT_VARIABLE status ERROR_VARIABLE output)
  if(NOT status EQUAL 0)
    list(JOIN ARGN " " shown)
    message(FATAL_ERROR "${compiler} ${shown}:\n${output}")
  endif()
endfunction()

function(compile_all language standards compilers extra)
  string(REPLACE "," ";" compilers "${compilers}")
  foreach(compiler IN LISTS compilers)
    foreach(standard IN LISTS standards)
      foreach(number RANGE 4)
        compile(${language} "${compiler}" -std=${standard} ${extra} -x ${language} "${WORK}/${number}.c")
      endforeach()
      compile(${language} "${compiler}" -std=${standard} ${extra} -x ${language} "${HERE}/header_use.c")
      compile(${language} "${compiler}" -std=${standard} ${extra} -DDECODER_FIRST -x ${language} "${HERE}/header_use.c")
    endforeach()
    list(JOIN standards ", " shown)
    message("${compiler}: ${shown}")
  endforeach()
endfunction()

file(MAKE_DIRECTORY "${WORK}")
foreach(number RANGE 4)
  list(GET includes ${number} text)
  file(WRITE "${WORK}/${number}.c" "${text}int anabranch_empty;\nint anabranch_empty_again(int x);\n")
endforeach()
compile_all(c "c89;c99;c11" "${CC}" "-Wstrict-prototypes;-Wold-style-definition")
compile_all(c++ "c++11;c++20" "${CXX}" "")
