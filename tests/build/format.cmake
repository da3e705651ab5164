# Every file of C, C++ and CUDA below SOURCE is as CLANG_FORMAT would write it; `clang-format -i FILE` mends one.
cmake_minimum_required(VERSION 3.25)

file(GLOB folders LIST_DIRECTORIES true "${SOURCE}/*")
list(REMOVE_ITEM folders "${SOURCE}/build" "${SOURCE}/models")  # what .gitignore leaves out
set(files "")
foreach(folder IN LISTS folders)
  if(IS_DIRECTORY "${folder}")
    file(GLOB_RECURSE found "${folder}/*.c" "${folder}/*.h" "${folder}/*.cpp" "${folder}/*.hpp" "${folder}/*.cu")
    list(APPEND files ${found})
  endif()
endforeach()
list(LENGTH files n_files)
if(n_files LESS 100)
  message(FATAL_ERROR "only ${n_files} files were found below ${SOURCE}: is the search broken?")
endif()

execute_process(COMMAND "${CLANG_FORMAT}" --dry-run -Werror ${files}
  RESULT_VARIABLE status ERROR_VARIABLE errors)
if(NOT status EQUAL 0)
  string(REGEX MATCHALL "[^\n]*error: [^\n]*" places "${errors}")
  list(JOIN places "\n  " places)
  message(FATAL_ERROR "not formatted:\n  ${places}")
endif()
message("${n_files} files")
