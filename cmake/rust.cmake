# Programs and libraries in Rust over the C ABI: plain rustc, no crates, no cargo.

find_program(ANABRANCH_RUSTC rustc)
mark_as_advanced(ANABRANCH_RUSTC)
# Why nothing is built of Rust; empty when it is.
set(ANABRANCH_NO_RUST "")
if(NOT ANABRANCH_RUSTC)
  set(ANABRANCH_NO_RUST "no rustc")
elseif(NOT TARGET anabranch::capi)
  set(ANABRANCH_NO_RUST "no anabranch::capi")
elseif(CMAKE_CXX_FLAGS MATCHES "-fsanitize")
  set(ANABRANCH_NO_RUST "rustc does not link sanitized libraries")
endif()

# anabranch_rust(<name> OUTPUT <file> SOURCES <root> <file>... [LINK <target>...] [CRATES <name>...] [FLAGS <flag>...])
# The file, built by the target build_<name>, whose property RUST_FILE names it. LINK: libraries of C, found again where
# they were built. CRATES: libraries that this function made and that the source names by their crate's name.
function(anabranch_rust name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "OUTPUT" "SOURCES;LINK;CRATES;FLAGS")
  set(file "${CMAKE_CURRENT_BINARY_DIR}/${arg_OUTPUT}")
  list(GET arg_SOURCES 0 root)
  list(TRANSFORM arg_SOURCES PREPEND "${CMAKE_CURRENT_SOURCE_DIR}/")
  foreach(target IN LISTS arg_LINK)
    list(APPEND arg_FLAGS -L "native=$<TARGET_FILE_DIR:${target}>"
      -C "link-arg=-Wl,-rpath,$<TARGET_FILE_DIR:${target}>")
  endforeach()
  foreach(crate IN LISTS arg_CRATES)
    get_target_property(crate_file build_${crate} RUST_FILE)
    list(APPEND arg_FLAGS --extern "${crate}=${crate_file}")
    list(APPEND arg_LINK build_${crate} "${crate_file}")
  endforeach()
  if(ANABRANCH_STRICT)
    list(APPEND arg_FLAGS -D warnings)
  endif()
  add_custom_command(OUTPUT "${file}"
    COMMAND "${ANABRANCH_RUSTC}" --edition 2021 -O ${arg_FLAGS} -o "${file}" ${root}
    WORKING_DIRECTORY "${CMAKE_CURRENT_SOURCE_DIR}"
    DEPENDS ${arg_SOURCES} ${arg_LINK}
    COMMENT "Building ${arg_OUTPUT} with rustc"
    VERBATIM)
  add_custom_target(build_${name} ALL DEPENDS "${file}")
  set_target_properties(build_${name} PROPERTIES RUST_FILE "${file}")
endfunction()
