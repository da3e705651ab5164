#!/usr/bin/env bash
# The cost of including <anabranch/anabranch.hpp> at -O0, in user seconds: the umbrella header against a file with only
# the standard headers that it uses. Figures, not a verdict: machines differ and drift.
#     compile_time.sh COMPILER INCLUDE_FOLDER REPORT
set -euo pipefail
compiler=$1 include=$2 report=$3
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

echo '#include <anabranch/anabranch.hpp>' >"$work/umbrella.cpp"
# -MM lists the headers that are not the system's: ours.
"$compiler" -std=c++20 -I "$include" -MM "$work/umbrella.cpp" | tr ' \\' '\n\n' | grep '\.hpp$' >"$work/ours"
xargs grep -h '^#include <[a-z_]*>' <"$work/ours" | sort -u >"$work/standard.cpp"

# user_ms FILE: the least of three compilations.
user_ms() {
  local best=999999 ms
  for _ in 1 2 3; do
    ms=$( (TIMEFORMAT=%3U; time "$compiler" -std=c++20 -O0 -I "$include" -c "$1" -o "$work/out.o") 2>&1 | tr -d .)
    ms=$((10#$ms))
    [ "$ms" -ge "$best" ] || best=$ms
  done
  echo "$best"
}
umbrella=$(user_ms "$work/umbrella.cpp")
standard=$(user_ms "$work/standard.cpp")
{
  echo "umbrella header, $(wc -l <"$work/ours") files, user time at -O0, least of 3: $umbrella ms in all," \
    "$((umbrella - standard)) ms above its $(wc -l <"$work/standard.cpp") standard headers ($standard ms)"
} | tee "$report"
