# Fails when LIBRARY lacks machine code for one of the promised architectures. cuobjdump lists it; where the toolkit
# comes without that tool, the headers of the code images are looked for: kind 2 (machine code), version 0x0101, the
# header's length, 20 bytes of sizes and versions, then the architecture.
#     cmake -DLIBRARY=<file> [-DCUOBJDUMP=<program>] -P architectures.cmake
cmake_minimum_required(VERSION 3.25)

if(CUOBJDUMP)
  execute_process(COMMAND "${CUOBJDUMP}" --list-elf "${LIBRARY}" OUTPUT_VARIABLE listing COMMAND_ERROR_IS_FATAL ANY)
  foreach(architecture 80 90 100)
    set(pattern_${architecture} "sm_${architecture}[^0-9]")
  endforeach()
else()
  file(READ "${LIBRARY}" listing HEX)
  string(REPEAT "[0-9a-f][0-9a-f]" 20 between)
  foreach(architecture 80 90 100)
    math(EXPR number "${architecture}" OUTPUT_FORMAT HEXADECIMAL)
    string(REPLACE "0x" "" number "${number}")
    set(pattern_${architecture} "02000101[4-9]0000000${between}${number}000000")
  endforeach()
endif()

set(missing "")
foreach(architecture 80 90 100)
  if(NOT listing MATCHES "${pattern_${architecture}}")
    list(APPEND missing sm_${architecture})
  endif()
endforeach()
if(missing)
  message(FATAL_ERROR "${LIBRARY} has no machine code for: ${missing}")
endif()
message("machine code for sm_80, sm_90 and sm_100 is there")
