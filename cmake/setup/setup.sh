# What examples/run, tests/run and bench/run share; sourced, with `root` set to the repository's folder.
#
# Everything that is slow to get lies in one cache folder outside the tree (ANABRANCH_CACHE, else
# XDG_CACHE_HOME/anabranch, else ~/.cache/anabranch; build/cache when that cannot be written) and is linked from
# build/, so that a fresh checkout finds it again. What the stages say goes to standard error.

started=$SECONDS
interactive=0
[ -t 2 ] && interactive=1

say() { printf '%s\n' "$*" >&2; }
die() {
  say "error: $*"
  exit 1
}

# begin_line TEXT: names what begins now.
begin_line() { printf '[%4d s] %s ...\n' $((SECONDS - started)) "$1" >&2; }

# stage TEXT COMMAND...: one line when it begins and, if it takes two seconds or more, one when it has ended; while it runs,
# its last line of output from time to time. Its output is kept in build/logs/ and shown when it fails.
stage() {
  local text=$1 begin=$SECONDS log pid status=0 next=15 signal now
  shift
  mkdir -p "$root/build/logs"
  log=$root/build/logs/$(printf '%s' "$text" | tr -cs 'A-Za-z0-9' '-' | cut -c1-60).log
  begin_line "$text"
  set -m # a process group of its own, which Ctrl-C ends as a whole: else the command would go on unseen
  "$@" >"$log" 2>&1 </dev/null &
  pid=$!
  set +m
  for signal in HUP INT PIPE TERM; do trap "end_stage $pid $signal" $signal; done
  while kill -0 "$pid" 2>/dev/null; do
    sleep 0.2
    if [ $((SECONDS - begin)) -ge $next ]; then
      now=$(tail -n 5 "$log" | tr -d '\r' | grep '[^[:space:]]' | tail -n 1 | cut -c1-90) || true
      say "  $text: $((SECONDS - begin)) s${now:+, now: $now}"
      next=$((next + (interactive ? 15 : 30)))
    fi
  done
  wait "$pid" || status=$?
  trap - HUP INT PIPE TERM
  if [ $status -ne 0 ]; then
    tail -n 40 "$log" >&2
    die "$text failed (exit status $status); the whole output is in ${log#"$root"/}"
  fi
  [ $((SECONDS - begin)) -lt 2 ] || say "$(printf '[%4d s] %s: done (%d s)' $((SECONDS - started)) "$text" $((SECONDS - begin)))"
}

# end_stage PID SIGNAL: what a signal does during a stage.
end_stage() {
  kill -TERM -- "-$1" 2>/dev/null || true
  trap - "$2"
  kill -s "$2" "$BASHPID"
}

# lock FD FILE: opens the file as FD and waits until no other run holds it, saying so.
lock() {
  eval "exec $1>\"\$2\""
  flock -n "$1" || { say "another run is setting up ${2%/*}; waiting for it" && flock "$1"; }
}

writable_folder() { mkdir -p "$1" 2>/dev/null && [ -w "$1" ]; }

# check_tree: a copy in which nothing can be made (a mounted image, somebody else's folder) is refused as a whole.
check_tree() {
  writable_folder "$root/build" ||
    die "this copy of Anabranch, $root, cannot be written; make a copy that can (cp -r) and start it there"
}

choose_cache() {
  local wanted=${ANABRANCH_CACHE:-}
  [ -n "$wanted" ] || wanted=${XDG_CACHE_HOME:-${HOME:-/nonexistent}/.cache}/anabranch
  if ! writable_folder "$wanted"; then
    [ -z "${ANABRANCH_CACHE:-}" ] || die "ANABRANCH_CACHE=$wanted cannot be written"
    wanted=$root/build/cache
    writable_folder "$wanted" || die "$root/build cannot be written"
  fi
  cache=$(cd "$wanted" && pwd -P)
  # With CCACHE_DEPEND a miss does not run the preprocessor once more: the compiler names the headers.
  export CCACHE_DIR=${CCACHE_DIR:-$cache/ccache} CCACHE_BASEDIR=$root CCACHE_NOHASHDIR=1 CCACHE_DEPEND=1
}

# ---- Debian packages

has_header() {
  local file folder
  for file in "$@"; do
    for folder in /usr/include /usr/local/include; do
      [ -e "$folder/$file" ] && return 0
    done
  done
  return 1
}

has_package() {
  case $1 in
    g++) command -v c++ || command -v g++ ;;
    cmake) command -v cmake ;;
    ninja-build) command -v ninja ;;
    ccache) command -v ccache ;;
    pkg-config) command -v pkg-config ;;
    valgrind) command -v valgrind ;;
    abigail-tools) command -v abidiff ;;
    python3) command -v python3 ;;
    python3-venv) has_venv ;;
    catch2) has_header catch2/catch.hpp catch2/catch_all.hpp ;;
    libeigen3-dev) has_header eigen3/Eigen/Core Eigen/Core ;;
    libfmt-dev) has_header fmt/core.h ;;
    libbenchmark-dev) has_header benchmark/benchmark.h ;;
    librapidcheck-dev) has_header rapidcheck.h ;;
    nlohmann-json3-dev) has_header nlohmann/json.hpp ;;
    libpcre2-dev) has_header pcre2.h ;;
    libutf8proc-dev) has_header utf8proc.h ;;
    libcli11-dev) has_header CLI/CLI.hpp ;;
    libhwy-dev) has_header hwy/highway.h ;;
    openmpi-bin) command -v mpirun ;;
    libopenmpi-dev) command -v mpicc ;;
    *) dpkg-query -W -f='${Status}' "$1" 2>/dev/null | grep -q 'ok installed' ;;
  esac >/dev/null 2>&1
}

has_venv() { [ -x "$(venv_python)" ] || python3 -c 'import ensurepip, venv'; }

install_packages() {
  local sudo=$1
  shift
  trap '' TERM # an installation that has begun is finished; dpkg cannot go on with half of one
  $sudo apt-get update
  DEBIAN_FRONTEND=noninteractive $sudo apt-get install -y --no-install-recommends "$@"
}

# need_packages NAME...: installs those that are missing.
need_packages() {
  local name sudo="" missing=()
  for name in "$@"; do
    has_package "$name" || missing+=("$name")
  done
  [ ${#missing[@]} -gt 0 ] || return 0
  command -v apt-get >/dev/null || die "missing: ${missing[*]} (names of Debian packages; there is no apt-get here)"
  if [ "$(id -u)" -ne 0 ]; then
    sudo -n true 2>/dev/null || die "missing Debian packages, and not root to install them: ${missing[*]}"
    sudo="sudo -n"
  fi
  rm -f "$root"/build/*/configured_with  # CMake looks for what was missing
  stage "install Debian packages: ${missing[*]}" install_packages "$sudo" "${missing[@]}"
  for name in "${missing[@]}"; do
    has_package "$name" || die "the Debian package $name is still missing after its installation"
  done
}

# ---- Python: LibTorch and the model come in wheels

requirements() { printf '%s' "$root/cmake/setup/requirements.txt"; }

# The venv of this Python and these requirements; a change of either makes another.
venv_folder() {
  local version
  version=$(python3 -c 'import platform; print(platform.python_version(), platform.machine())')
  printf '%s/venv-%s' "$cache" "$({ printf '%s' "$version"; cat "$(requirements)"; } | sha256sum | cut -c1-12)"
}
venv_python() { printf '%s/bin/python' "$(venv_folder)"; }

# cpu_torch FOLDER: whether this environment has a LibTorch for CPUs alone. A wheel for GPUs needs libraries that are not
# installed here, and its CMake package asks for their toolkits.
cpu_torch() {
  local file
  file=$(echo "$1"/lib/python3*/site-packages/torch/version.py)
  [ -e "$file" ] && ! grep -Eq "^(cuda|hip|rocm|xpu)\b.*= *['\"]" "$file"
}

# check_torch FOLDER: says what is wrong with its LibTorch, if anything is.
check_torch() {
  cpu_torch "$1" && return
  say "error: pip found the torch wheel $("$1/bin/python" -m pip --disable-pip-version-check list 2>/dev/null |
    awk '$1 == "torch" { print $2 }'), which is not for CPUs alone and cannot be used here." \
    "Tell pip where PyTorch's wheels for CPUs are, by PIP_EXTRA_INDEX_URL (an index; pytorch.org, \"Get started\", names" \
    "it under \"CPU\") or PIP_FIND_LINKS (a folder or page with the wheel), and run this again."
  return 1
}

# make_venv FOLDER: every command is one of a chain, so that nothing half-made is marked complete, whoever calls.
make_venv() {
  local folder=$1 pip torch
  torch=$(grep '^torch==' "$(requirements)")
  rm -rf "$folder"
  pip=("$folder/bin/python" -m pip --disable-pip-version-check --no-input)
  # torch alone first: exactly this version, never what another package would ask for; for CPUs where pip sees such one.
  python3 -m venv "$folder" &&
    { "${pip[@]}" install --no-deps --only-binary :all: --progress-bar off "$torch+cpu" ||
      "${pip[@]}" install --no-deps --progress-bar off "$torch"; } &&
    check_torch "$folder" &&
    "${pip[@]}" install --no-deps --only-binary :all: --progress-bar off -r "$(requirements)" &&
    { "$folder/bin/python" -c 'import torch; assert torch.version.cuda is None, torch.version.cuda' ||
      { say "error: the torch wheel that pip found cannot be imported; the lines above say why"; return 1; }; } &&
    touch "$folder/complete"
}

need_venv() {
  local folder
  need_packages python3 python3-venv
  folder=$(venv_folder)
  lock 9 "$cache/lock"
  if [ ! -e "$folder/complete" ] || ! "$folder/bin/python" -c '' 2>/dev/null || ! cpu_torch "$folder"; then
    stage "make the Python environment (LibTorch, model package)" make_venv "$folder"
  fi
  flock -u 9
  link "$folder" "$root/build/venv"
  torch_dir=$(echo "$folder"/lib/python3*/site-packages/torch/share/cmake)
  [ -d "$torch_dir" ] || die "no CMake package of LibTorch in $folder; remove that folder and try again"
}

make_extra() {
  rm -rf "$1"
  "$(venv_python)" -m pip --disable-pip-version-check --no-input install --no-deps --only-binary :all: \
    --progress-bar off --target "$1" -r "$2" &&
    touch "$1/complete"
}

# need_extra NAME: afterwards build/NAME holds the packages of requirements-NAME.txt for the venv's Python. They have a
# folder of their own, because not everybody wants them.
need_extra() {
  local list=$root/cmake/setup/requirements-$1.txt folder
  folder=$cache/$1-$({ venv_folder; cat "$list"; } | sha256sum | cut -c1-12)
  lock 9 "$cache/lock"
  [ -e "$folder/complete" ] || stage "install the Python packages for $1" make_extra "$folder" "$list"
  flock -u 9
  link "$folder" "$root/build/$1"
}

# link TARGET NAME: makes or renews a symbolic link; never replaces anything else.
link() {
  mkdir -p "$(dirname "$2")"
  [ "$(readlink "$2" 2>/dev/null)" = "$1" ] && return
  [ ! -e "$2" ] || [ -L "$2" ] || die "$2 is in the way: it should be a link to $1"
  ln -sfn "$1" "$2"
}

# ---- the model

need_model() {
  local script=$root/cmake/setup/convert_smollm2.py folder
  folder=$cache/models/smollm2-135m-instruct-$(cat "$script" "$(requirements)" | sha256sum | cut -c1-12)
  lock 9 "$cache/lock"
  if [ ! -e "$folder/config.json" ]; then
    rm -rf "$cache/models/.${folder##*/}."* # half of one, where that was stopped
    stage "convert the model SmolLM2-135M-Instruct" "$root/build/venv/bin/python" "$script" "$folder"
  fi
  flock -u 9
  link "$folder" "$root/build/models/smollm2-135m"
  model=$root/build/models/smollm2-135m
}

# ---- the build

# All that a configuration depends on and the build itself does not watch: arguments, presets, this set-up, the folder,
# CMake, the compilers' variables, and what is installed.
configuration() {
  printf '%s\n' "$@" "$root" "$(command -v cmake)" "$(cmake --version 2>/dev/null)"
  local name
  for name in CC CXX CUDACXX CFLAGS CXXFLAGS CUDAFLAGS LDFLAGS CUDA_PATH CUDA_HOME CMAKE_PREFIX_PATH Torch_DIR llama_DIR; do
    printf '%s=%s\n' "$name" "${!name-}"
  done
  cat "$root/CMakePresets.json" "$root/CMakeUserPresets.json" "$root"/cmake/setup/*.sh 2>/dev/null | cksum
  stat -c %y /var/lib/dpkg/status 2>/dev/null || true
}

# is_configured BUILD TEXT: whether the build folder was configured with this text, and nobody changed its cache since.
is_configured() {
  [ -e "$1/CMakeCache.txt" ] && [ -e "$1/build.ninja" ] && [ -e "$1/configured_with" ] &&
    [ "$(cat "$1/configured_with")" = "$2"$'\n'"$(cksum <"$1/CMakeCache.txt")" ]
}

# configure PRESET [CMAKE ARGUMENT...]; nothing where that has been done: the build itself sees changes of CMake's files.
configure() {
  local preset=$1 folder=$root/build/$1 text
  shift
  text=$(configuration "$preset" "$@")
  cd "$root"
  ! is_configured "$folder" "$text" || return 0
  rm -f "$folder/configured_with"
  stage "configure the preset $preset" cmake --preset "$preset" "$@"
  printf '%s\n' "$text" "$(cksum <"$folder/CMakeCache.txt")" >"$folder/configured_with"
  grep -h '^--   .* left out: ' "$root/build/logs/configure-the-preset-$preset.log" >&2 || true
}

# build PRESET TARGET...: the compiler's progress goes straight to the terminal.
build() {
  local preset=$1 begin=$SECONDS
  shift
  cd "$root"
  begin_line "build $*"
  export CMAKE_BUILD_PARALLEL_LEVEL=${CMAKE_BUILD_PARALLEL_LEVEL:-$(nproc)} NINJA_STATUS='[%f/%t, %e s] '
  cmake --build --preset "$preset" --target "$@" >&2 </dev/null || die "the build of $* failed"
  say "$(printf '[%4d s] built (%d s)' $((SECONDS - started)) $((SECONDS - begin)))"
}

check_tree
choose_cache
