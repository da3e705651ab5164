#!/usr/bin/env bash
# Accepts a change of the C ABI: writes symbols.txt, layout.txt and abi/baseline.abi.xml anew from a build folder, and
# capi/layout.json from the headers, and shows what changed. Read README.md first: which changes are allowed at all.
# libclang, which reads the headers, is what tests/run installs in build/packaging.
#
#   tests/capi/accept_abi.sh [BUILD]     BUILD: a configured build folder with tests; build/dev unless said
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
root=$(cd "$here/../.." && pwd -P)
build=${1:-$root/build/dev}
cmake --build "$build" --target anabranch_capi anabranch_capi_layout
library=$build/capi/libanabranch.so

nm -D --defined-only "$library" | awk '$3 != "ANABRANCH_0" {print $3}' | LC_ALL=C sort >"$here/symbols.txt"
"$build/tests/capi/anabranch_capi_layout" >"$here/layout.txt"
abidw --headers-dir "$root/capi" --drop-private-types --exported-interfaces-only --no-corpus-path --no-comp-dir-path \
  --no-show-locs --type-id-style hash --out-file "$here/abi/baseline.abi.xml" "$(realpath "$library")"
sed -i "s|path='[^']*/capi/|path='capi/|" "$here/abi/baseline.abi.xml"  # no paths of this machine
PYTHONPATH=$root/build/packaging python3 -B "$here/layout_json.py" --write
git -C "$root" --no-pager diff --stat -- tests/capi capi/layout.json
git -C "$root" --no-pager diff -- tests/capi/symbols.txt tests/capi/layout.txt
