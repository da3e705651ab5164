# The engine that runs chat templates; sourced after setup.sh, and after need_venv has run.
#
# It is llama.cpp's Jinja engine (common/jinja), from the sdist that llama.sh pins, with the changes of jinja.patch:
# they make it do what Jinja in Python does, or refuse by name, and keep the marks of what messages wrote. It is
# compiled once and lies in the cache as $cache/jinja-HASH, linked as build/jinja: include/, source/ (for the fuzzer),
# lib/jinja.o, which becomes part of libanabranch_hf, the licence, and the chat templates of models that the sdist
# carries (models/templates), which tests/hf reads.

. "$root/cmake/setup/llama.sh"

jinja_files=(lexer parser runtime string value)
# A name of its own, so that a program may also hold llama.cpp's; CMake gives users of the headers the same.
jinja_options=(-std=c++17 -O1 -fPIC -fvisibility=hidden -DNDEBUG
  -Djinja=anabranch_jinja -Dg_jinja_debug=anabranch_jinja_debug
  -Dcommon_parse_utf8_codepoint=anabranch_parse_utf8_codepoint
  -Dcommon_utf8_sequence_length=anabranch_utf8_sequence_length -Dcommon_utf8_is_complete=anabranch_utf8_is_complete
  -Dcommon_unicode_cpts_to_utf8=anabranch_unicode_cpts_to_utf8
  -Dcommon_unicode_cpt_to_utf8=anabranch_unicode_cpt_to_utf8)

jinja_folder() {
  printf '%s/jinja-%s' "$cache" "$({ uname -m; printf '%s\n' "$llama_sdist" "${jinja_files[@]}" "${jinja_options[@]}"
    cat "$root/cmake/setup/jinja.patch"; } | sha256sum | cut -c1-12)"
}

compile_jinja() { # WORK NEW
  local file
  for file in jinja/lexer jinja/parser jinja/runtime jinja/string jinja/value unicode; do
    printf '%s\0' "$2/source/$file.cpp" "$1/${file##*/}.o"
  done | xargs -0 -n 2 -P "${CMAKE_BUILD_PARALLEL_LEVEL:-$(nproc)}" \
    bash -c 'nice c++ "${@:1:$#-2}" -c "${@: -2:1}" -o "${@: -1}"' compile "${jinja_options[@]}" -I"$2/source" &&
    ld -r -o "$2/lib/jinja.o" "$1/"*.o
}

# make_jinja FOLDER: patches and compiles beside the folder, which is there whole or not at all. Every command is one of
# a chain: where a failure is caught, `set -e` does not hold.
make_jinja() {
  local work=$1.work new=$1.new
  rm -rf "$new" "$1" &&
    get_llama_source "$work" &&
    mkdir -p "$new/include/jinja" "$new/lib" &&
    cp -R "$work/source/vendor/llama.cpp/common" "$work/common" &&
    patch -d "$work/common" -p1 --fuzz=0 <"$root/cmake/setup/jinja.patch" &&
    mkdir "$new/source" &&
    cp -R "$work/common/jinja" "$work/common/unicode.cpp" "$work/common/unicode.h" "$new/source/" &&
    rm -f "$new/source/jinja/"caps.* "$new/source/jinja/README.md" &&
    cp "$new/source/jinja/"*.h "$new/include/jinja/" &&
    compile_jinja "$work" "$new" &&
    keep_templates "$work" "$new" &&
    touch "$new/complete" &&
    mv "$new" "$1" &&
    rm -rf "$work"
}

# need_jinja: afterwards jinja_dir is the folder for CMake (ANABRANCH_JINJA_DIR), or empty: without the engine the
# library knows the templates of SmolLM2 and a few more, so that nothing has to wait for a download that fails.
need_jinja() {
  local folder
  need_packages g++ binutils patch
  folder=$(jinja_folder)
  lock 8 "$cache/lock-llama"
  [ -e "$folder/complete" ] ||
    (stage "build the engine for chat templates (once; half a minute)" make_jinja "$folder") ||
    say "no engine for chat templates: those that are not known by heart will be refused"
  flock -u 8
  jinja_dir=
  [ -e "$folder/complete" ] || return 0
  link "$folder" "$root/build/jinja"
  jinja_dir=$folder
}
