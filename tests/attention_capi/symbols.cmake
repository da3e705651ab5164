# What the library exports is symbols.txt, which is what the header declares. LIBRARY, CAPI, HERE, NM.
cmake_minimum_required(VERSION 3.25)

execute_process(COMMAND "${NM}" -D --defined-only "${LIBRARY}" OUTPUT_VARIABLE listed COMMAND_ERROR_IS_FATAL ANY)
string(REGEX MATCHALL "[^ \n]+\n" exported "${listed}")
list(TRANSFORM exported STRIP)
list(REMOVE_ITEM exported ANABRANCH_ATTENTION_0)  # the version node itself
list(SORT exported)
file(STRINGS "${HERE}/symbols.txt" golden)
list(SORT golden)
if(NOT exported STREQUAL golden)
  message(FATAL_ERROR "the library exports\n  ${exported}\nsymbols.txt has\n  ${golden}")
endif()

file(READ "${CAPI}/anabranch_attention.h" text)
string(REGEX MATCHALL "ANB_API [^(]*anb_[a-z_]+\\(" declared "${text}")
list(TRANSFORM declared REPLACE "^.*(anb_[a-z_]+)\\($" "\\1@@ANABRANCH_ATTENTION_0")
list(SORT declared)
if(NOT declared STREQUAL exported)
  message(FATAL_ERROR "the header declares\n  ${declared}\nthe library exports\n  ${exported}")
endif()
list(LENGTH exported n)
message("${n} functions")
