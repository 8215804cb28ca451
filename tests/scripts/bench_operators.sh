#!/usr/bin/env bash
# The operator table of a training step: shares add up to the whole, and the FLOPs of the matrix products that were seen are those that the model's config gives.
set -euo pipefail
"$FLANMOE_BINARY" bench train --shape "$FLANMOE_SOURCE_DIR/tests/golden/t5-v1_1-tiny" --batch 2 --input-length 24 --target-length 12 --repeats 1 --threads 1 \
  --dtype bfloat16 --optimizer adamw --operators --json | python3 -c '
import json, sys
bench = json.load(sys.stdin)
operators = bench["operators"]
assert abs(sum(o["share"] for o in operators) - 1) < 1e-9, operators
assert {"forward", "backward", "optimizer"} == {o["phase"] for o in operators}, operators
names = {(o["phase"], o["name"]) for o in operators}
for name in "rms_norm", "attention", "gated_gelu", "multiply":
    for phase in "forward", "backward":
        assert (phase, "flanmoe::" + name) in names, (phase, name, names)
expected = bench["flops_per_s"] * bench["median_s"]
found = sum(o.get("flops", 0) for o in operators)
assert abs(found / expected - 1) < 1e-6, (found, expected)
assert bench["peak_memory_bytes"] > 1 << 20
'
code=0; "$FLANMOE_BINARY" bench packing --tokenizer "$FLANMOE_SOURCE_DIR/tests/golden/t5-v1_1-tiny" --arms pakced > /dev/null 2> /dev/null || code=$?
[ $code -eq 2 ] || { echo "FAILED: a wrong arm: exit code $code"; exit 1; }
echo "bench_operators: shares and FLOPs agree"
