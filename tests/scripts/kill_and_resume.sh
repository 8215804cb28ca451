#!/usr/bin/env bash
# A training that is killed and resumed, any number of times, ends with the same bytes as an undisturbed one; Ctrl-C saves and says how to go on.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
golden=$FLANMOE_SOURCE_DIR/tests/golden/t5-v1_1-tiny
# A background job of a script ignores Ctrl-C unless told otherwise.
train=(env --default-signal=INT "$FLANMOE_BINARY" --quiet train "$golden" --data builtin:train --steps 60 --batch-size 4 --input-length 64
  --target-length 16 --checkpoint-every 3 --log-every 1 --threads 1)
fail() { echo "FAILED: $*"; exit 1; }

"${train[@]}" --out "$work/whole" > /dev/null 2>&1

# killed whenever the log has grown by some more steps
for lines in 5 17 40; do
  "${train[@]}" --out "$work/killed" --resume > /dev/null 2> "$work/err" & pid=$!
  while kill -0 $pid 2> /dev/null && [ "$(cat "$work/killed/metrics.jsonl" 2> /dev/null | wc -l)" -lt $lines ]; do :; done
  kill -KILL $pid 2> /dev/null || true
  wait $pid 2> /dev/null || true
  [ ! -e "$work/killed/model" ] || fail "the training was over before it could be killed at step $lines"
done
"${train[@]}" --out "$work/killed" --resume > /dev/null 2>&1
cmp "$work/whole/model/model.safetensors" "$work/killed/model/model.safetensors" || fail "killed and resumed: other bytes"

# Ctrl-C
"${train[@]}" --out "$work/stopped" > /dev/null 2> "$work/err" & pid=$!
while kill -0 $pid 2> /dev/null && [ "$(cat "$work/stopped/metrics.jsonl" 2> /dev/null | wc -l)" -lt 10 ]; do :; done
kill -INT $pid
code=0; wait $pid || code=$?
[ $code -eq 1 ] || fail "Ctrl-C: exit code $code"
grep -q -- '--resume' "$work/err" || fail "Ctrl-C: stderr does not say how to resume: $(cat "$work/err")"
[ -e "$work/stopped/checkpoint" ] || fail "Ctrl-C: no checkpoint"
"${train[@]}" --out "$work/stopped" --resume > /dev/null 2>&1
cmp "$work/whole/model/model.safetensors" "$work/stopped/model/model.safetensors" || fail "stopped and resumed: other bytes"

# another config is not resumed into
"${train[@]}" --out "$work/other" > /dev/null 2> "$work/err" & pid=$!
while kill -0 $pid 2> /dev/null && [ "$(cat "$work/other/metrics.jsonl" 2> /dev/null | wc -l)" -lt 10 ]; do :; done
kill -KILL $pid 2> /dev/null || true
wait $pid 2> /dev/null || true
! "${train[@]}" --out "$work/other" --resume --learning-rate 0.002 > /dev/null 2> "$work/err" || fail "resumed with another learning rate"
grep -q learning_rate "$work/err" || fail "stderr does not name learning_rate: $(cat "$work/err")"
echo "kill_and_resume: same bytes"
