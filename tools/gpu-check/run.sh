#!/usr/bin/env bash
# The whole check on a machine with a GPU, where there may be neither Node nor a network: one command.
#
#   bash tools/gpu-check/run.sh [--parts a,b] [--budget 540] [--out DIR] [--python PYTHON] ...
#
# Needs the archives that `node tools/gpu-check/pack.mjs` has left in .cache/gpu-pack ($RLPT_GPU_PACK names another place),
# or a Node and node_modules of its own. Works on a copy in $RLPT_GPU_WORK; --help lists the flags.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
pack=${RLPT_GPU_PACK:-$root/.cache/gpu-pack}
work=${RLPT_GPU_WORK:-${TMPDIR:-/tmp}/rlpt-gpu-check}

unpack() { # ARCHIVE FOLDER: tar needs xz, Python does not
  mkdir -p "$2"
  if command -v xz >/dev/null; then
    tar -xJf "$1" -C "$2"
  else
    python3 -c 'import sys, tarfile; tarfile.open(sys.argv[1]).extractall(sys.argv[2])' "$1" "$2"
  fi
}

if [ ! -f "$pack/manifest.json" ]; then
  if ! command -v node >/dev/null || [ ! -d "$root/node_modules" ]; then
    echo "$pack holds no pack, and there is no Node with node_modules either. Fix: run node tools/gpu-check/pack.mjs where both are." >&2
    exit 2
  fi
  exec node "$root/tools/gpu-check/check.mjs" "$@"
fi

# once for each pack; the sources are copied each time, with their times, by which a bundle of them is known
if ! cmp -s "$pack/manifest.json" "$work/manifest.json"; then
  rm -rf "$work"
  unpack "$pack/node.tar.xz" "$work"
  unpack "$pack/modules.tar.xz" "$work/tree"
  cp "$pack/manifest.json" "$work/manifest.json"
fi
for name in bin src configs models examples docs tools package.json; do
  rm -rf "${work:?}/tree/$name"
  cp -a "$root/$name" "$work/tree/$name"
done
export PATH="$work/bin:$PATH"
export RLPT_CACHE="${RLPT_CACHE:-$work/cache}"
export RLPT_GPU_WORK="$work"
exec node "$work/tree/tools/gpu-check/check.mjs" "$@"
