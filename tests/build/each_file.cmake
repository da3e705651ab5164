# Runs PROGRAM with ARGUMENTS (`,` between them) on every block of a document that lies in FOLDER, one by one; each must
# end with 0. ENDING: of the blocks' files; the program may leave others there.
cmake_minimum_required(VERSION 3.25)

include("${CMAKE_CURRENT_LIST_DIR}/run_command.cmake")

string(REPLACE "," ";" arguments "${ARGUMENTS}")
file(GLOB files LIST_DIRECTORIES false "${FOLDER}/*_[0-9]*.${ENDING}")
foreach(file IN LISTS files)
  cmake_path(GET file FILENAME name)
  run("${name}" "${PROGRAM}" ${arguments} "${file}")
endforeach()
