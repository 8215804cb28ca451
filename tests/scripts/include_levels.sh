#!/usr/bin/env bash
# The include levels hold, and their checker objects to planted violations.
set -euo pipefail
check=$FLANMOE_SOURCE_DIR/tools/check_include_levels
"$check" "$FLANMOE_SOURCE_DIR"

tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT
mkdir -p "$tree"/{cmake,apps} "$tree"/src/{base,ops,nn,text,moe/routers}
cp "$FLANMOE_SOURCE_DIR/cmake/levels.txt" "$tree/cmake/"

# plants FILE with one include; then expects objection (1), consent (0)
expect() {  # CODE FILE INCLUDE
  local code=0 output
  printf '#pragma once\n%s\n' "$3" > "$tree/$2"
  output=$("$check" "$tree") || code=$?
  rm "$tree/$2"
  if [ "$code" -ne "$1" ] || { [ "$1" -eq 1 ] && [[ "$output" != *"$2"* ]]; }; then
    echo "FAIL: $2 with $3: exit code $code, expected $1; output: $output"
    exit 1
  fi
}

expect 0 src/moe/a.h '#include "nn/linear.h"'
expect 0 src/moe/routers/a.h '#include "moe/router.h"'
expect 0 src/ops/a.h '#include <ATen/core/Tensor.h>'
expect 0 src/base/a.h '#include <sys/types.h>'
expect 0 apps/a.cpp '#include "study/recipe.h"'
expect 1 src/nn/a.h '#include "moe/router.h"'          # upwards
expect 1 src/nn/a.cpp '#  include "data/jsonl.h"'      # a sibling
expect 1 src/moe/routers/a.h '#include <model/config.h>'
expect 1 src/base/a.h '#include "apps/verbs.h"'
expect 1 src/base/a.h '#include <torch/torch.h>'       # torch where none may be
expect 1 src/text/a.h '#include <ATen/core/Tensor.h>'
expect 1 src/moe/a.h '#include "../nn/linear.h"'
mkdir "$tree/src/utils"
expect 1 src/utils/a.h '#include "base/error.h"'       # a folder without a level
code=0
"$check" "$tree" 2> /dev/null || code=$?
[ "$code" -eq 2 ] || { echo "FAIL: an empty tree passes as checked"; exit 1; }
