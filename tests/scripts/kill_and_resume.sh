#!/usr/bin/env bash
# A training that is killed at random instants and resumed, again and again, ends with the same model and metrics as an undisturbed one; Ctrl-C saves and says how to go on.
# KILL_SEED=n repeats a run of this test (as far as instants repeat), KILLS=n makes it longer.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
golden=$FLANMOE_SOURCE_DIR/tests/golden/t5-v1_1-tiny
steps=20
weights=model/model.safetensors
# A background job of a script ignores Ctrl-C unless told otherwise.
train=(env --default-signal=INT "$FLANMOE_BINARY" --quiet train "$golden" --data builtin:train --steps $steps --batch-size 4 --input-length 64
  --target-length 16 --log-every 1 --threads 1)
fail() { echo "FAILED: $*"; exit 1; }
metrics() { sed -E 's/"machine":\{[^}]*\},?//' "$1/metrics.jsonl"; }  # without what the machine says
expect_same() {
  cmp "$work/whole/$weights" "$1/$weights" || fail "$2: another model"
  cmp <(metrics "$work/whole") <(metrics "$1") || fail "$2: other metrics"
  [ "$(ls "$1" | xargs)" = "$(ls "$work/whole" | xargs)" ] || fail "$2: left behind: $(ls "$1" | xargs)"
}
now_ms() { local now=${EPOCHREALTIME/./}; echo $((now / 1000)); }

start=$(now_ms)
"${train[@]}" --checkpoint-every 7 --out "$work/whole" > /dev/null 2>&1
whole_ms=$(($(now_ms) - start))

seed=${KILL_SEED:-$RANDOM}
wanted=${KILLS:-24}
echo "kill_and_resume: KILL_SEED=$seed, an undisturbed run takes $whole_ms ms"
RANDOM=$seed

num_lines() { local lines=(); [ ! -e "$1" ] || mapfile -t lines < "$1"; echo ${#lines[@]}; }
# Whether the instant has come to kill: $1 kind, $2 folder, $3 milliseconds or lines. Without processes of its own, so that it is as quick as what it watches.
is_due() {
  case $1 in
    time) local now=${EPOCHREALTIME/./}; [ $((now / 1000)) -ge "$3" ] ;;
    step) local lines=(); [ ! -e "$2/metrics.jsonl" ] || mapfile -t lines < "$2/metrics.jsonl"; [ ${#lines[@]} -ge "$3" ] ;;
    write) compgen -G "$2/checkpoints/*.tmp-*" > /dev/null ;;
    written) compgen -G "$2/checkpoints/*.tmp-*/checksums*" > /dev/null ;;
    removal) compgen -G "$2/checkpoints/*.removed-*" > /dev/null ;;
    finish) compgen -G "$2/${weights%%/*}.tmp-*" > /dev/null ;;
  esac
}
kinds=(time time time step step write write written removal finish)
# $1: so many kills.
kill_and_resume() {
  local wanted=$1
  declare -A kills=()
  num_kills=0 num_first=0
  local first_run=$num_runs
  while [ $num_kills -lt "$wanted" ]; do
    num_runs=$((num_runs + 1))
    out=$work/killed-$num_runs
    log=""
    while [ ! -e "$out/${weights%%/*}" ]; do
      kind=${kinds[RANDOM % ${#kinds[@]}]}
      [ -n "$log" ] || kind=write  # the first checkpoint of all
      [ $num_kills -lt "$wanted" ] || kind=none
      case $kind in
        time) at=$(($(now_ms) + RANDOM * whole_ms / 32768)) ;;
        step) at=$(($(num_lines "$out/metrics.jsonl") + 1 + RANDOM % 5)) ;;
        *) at=0 ;;
      esac
      before=$(ls "$out/checkpoints" 2> /dev/null | xargs || true)
      "${train[@]}" --checkpoint-every $((1 + RANDOM % 3)) --keep-last $((1 + RANDOM % 2)) --out "$out" --resume > /dev/null 2> "$work/err" & pid=$!
      while [ $kind != none ] && kill -0 $pid 2> /dev/null && ! is_due $kind "$out" $at; do :; done
      [ $kind = none ] || kill -KILL $pid 2> /dev/null || true
      code=0
      wait $pid 2> /dev/null || code=$?
      log+=$'\n'"  $kind $at, exit code $code, found ($before)"
      if [ $code -eq 137 ]; then
        num_kills=$((num_kills + 1))
        kills[$kind]=$((${kills[$kind]:-0} + 1))
        compgen -G "$out/checkpoints/step-????????" > /dev/null || num_first=$((num_first + 1))
      else
        [ $code -eq 0 ] || fail "exit code $code:$log"$'\n'"$(cat "$work/err")"
        [ ! -s "$work/err" ] || ! grep damaged "$work/err" || fail "a kill left a damaged checkpoint:$log"
      fi
    done
    # killed behind the last rename: what is left is tidied up
    "${train[@]}" --out "$out" --resume > /dev/null 2> "$work/err" || fail "$(cat "$work/err")"
    expect_same "$out" "killed and resumed:$log"$'\n'"  "
    rm -rf "$out"
  done
  summary=""
  for kind in "${!kills[@]}"; do summary+=", $kind ${kills[$kind]}"; done
  echo "kill_and_resume: $num_kills kills in $((num_runs - first_run)) runs (${summary:2}; $num_first before there was a checkpoint)"
}
num_runs=0
kill_and_resume "$wanted"

# A damaged newest checkpoint is named, and the one before it is taken.
start_and_kill_at() {
  "${train[@]}" --checkpoint-every 3 --out "$1" > /dev/null 2> "$work/err" & pid=$!
  while kill -0 $pid 2> /dev/null && ! is_due step "$1" "$2"; do :; done
  kill -$3 $pid 2> /dev/null || true
  code=0; wait $pid 2> /dev/null || code=$?
}
start_and_kill_at "$work/damaged" 11 KILL
newest=$(compgen -G "$work/damaged/checkpoints/step-????????" | sort | tail -n 1)
truncate -s -1 "$newest/optimizer.safetensors"
"${train[@]}" --out "$work/damaged" --checkpoint-every 3 --resume > /dev/null 2> "$work/err" || fail "$(cat "$work/err")"
grep -q "$newest/optimizer.safetensors is not what was written" "$work/err" || fail "a damaged checkpoint is not named: $(cat "$work/err")"
expect_same "$work/damaged" "from the checkpoint before"

# Ctrl-C
start_and_kill_at "$work/stopped" 10 INT
[ $code -eq 1 ] || fail "Ctrl-C: exit code $code"
grep -q -- '--resume' "$work/err" || fail "Ctrl-C: stderr does not say how to resume: $(cat "$work/err")"
[ -e "$work/stopped/checkpoints" ] || fail "Ctrl-C: no checkpoint"

# another config is not resumed into
! "${train[@]}" --out "$work/stopped" --resume --learning-rate 0.002 > /dev/null 2> "$work/err" || fail "resumed with another learning rate"
grep -q learning_rate "$work/err" || fail "stderr does not name learning_rate: $(cat "$work/err")"

"${train[@]}" --out "$work/stopped" --resume > /dev/null 2>&1
expect_same "$work/stopped" "stopped and resumed"

# The same of an adapter, whose checkpoints hold nothing else.
weights=adapter/adapter_model.safetensors
rm -rf "$work/whole"
train+=(--adapter lora,rank=2 --adapter ia3)
"${train[@]}" --checkpoint-every 7 --out "$work/whole" > /dev/null 2>&1
kill_and_resume $(((wanted + 2) / 3))
start_and_kill_at "$work/adapter" 10 INT
! compgen -G "$work/adapter/checkpoints/*/model*" > /dev/null || fail "a checkpoint of an adapter has its base"
! "${train[@]}" --out "$work/adapter" --resume --adapter lora,rank=3,sites=SelfAttention.q > /dev/null 2> "$work/err" || fail "resumed with another adapter"
grep -q "adapter" "$work/err" || fail "stderr does not name the adapter: $(cat "$work/err")"
"${train[@]}" --out "$work/adapter" --resume > /dev/null 2>&1
expect_same "$work/adapter" "stopped and resumed, an adapter"
echo "kill_and_resume: same bytes"
