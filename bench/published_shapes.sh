#!/usr/bin/env bash
# Checkpoints of published shapes with random weights: inspect, upcycle to 8 experts, 20 training steps; prints one line a step with the peak memory.
# usage: bench/published_shapes.sh OUT [SIZE...]     (sizes as `flanmoe inspect` knows them; default flan-t5-small flan-t5-base)
set -euo pipefail
out=${1:?usage: bench/published_shapes.sh OUT [SIZE...]}
shift
[ $# -gt 0 ] || set -- flan-t5-small flan-t5-base
flanmoe=${FLANMOE_BINARY:-build/flanmoe}
mkdir -p "$out"
cat > "$out/shape.toml" << 'TOML'
name = "shape"
description = "A checkpoint of a published shape with random weights."
seed = 1
[stages.vocabulary]
kind = "vocabulary"
data = "builtin:corpus, builtin:train"
num_pieces = 1000
[stages.init]
kind = "init"
vocabulary = "vocabulary"
TOML
field() { grep -o "\"$1\": *[0-9.e+]*" | head -1 | grep -o '[0-9.e+]*$'; }
for size in "$@"; do
  "$flanmoe" --quiet run "$out/shape.toml" --out "$out/$size" --set "model.size=$size" > /dev/null
  dense=$out/$size/stages/init/model
  echo "$size dense: $("$flanmoe" inspect "$dense" --json | field num_parameters) parameters"
  memory=$("$flanmoe" upcycle "$dense" --out "$out/$size/moe" --experts 8 --router top-2 --json | field peak_memory_bytes)
  echo "$size x 8 experts: $("$flanmoe" inspect "$out/$size/moe" --json | field num_parameters) parameters, upcycled with $((memory / 1048576)) MiB"
  for model in dense moe; do
    folder=$dense; [ $model = dense ] || folder=$out/$size/moe
    rm -rf "$out/$size/train-$model"
    json=$("$flanmoe" --quiet train "$folder" --data builtin:train --out "$out/$size/train-$model" --steps 20 --batch-size 8 --input-length 256 \
      --target-length 64 --precision bfloat16 --log-every 20 --json)
    echo "$size $model: 20 steps, loss $(field final_loss <<< "$json"), peak memory $(($(field peak_memory_bytes <<< "$json") / 1048576)) MiB, $(field wall_s <<< "$json") s"
    rm -rf "$out/$size/train-$model"
  done
done
