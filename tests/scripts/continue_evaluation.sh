#!/usr/bin/env bash
# An evaluation that is killed and run again writes the bytes of one that was never stopped.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
fail() { echo "FAILED: $*"; exit 1; }
run=("$FLANMOE_BINARY" eval "$FLANMOE_SOURCE_DIR/tests/golden/t5-v1_1-tiny" --suite builtin:held-out --num-examples 120
  --max-new-tokens 4 --threads 1)
"${run[@]}" --out "$work/whole.json" > "$work/whole.out" 2> "$work/whole.log"
[ "$(wc -l < "$work/whole.examples.jsonl")" -gt 2000 ] || fail "too few examples to be stopped between parts"

"${run[@]}" --out "$work/killed.json" > "$work/killed.out" 2> "$work/killed.log" &
child=$!
# until the first part is on disk
while kill -0 $child 2> /dev/null; do
  partial=$work/killed.examples.jsonl.partial
  if [ -s "$partial" ] && [ "$(wc -l < "$partial")" -gt 1000 ]; then kill -9 $child; break; fi
done
if wait $child 2> /dev/null; then fail "it ended before it could be killed"; fi
[ ! -e "$work/killed.json" ] || fail "a result of half an evaluation"
"${run[@]}" --out "$work/killed.json" > "$work/continued.out" 2> "$work/continued.log"
grep -q "goes on behind [1-9][0-9]* examples" "$work/continued.log" || fail "it began anew"
[ ! -e "$work/killed.examples.jsonl.partial" ] || fail "the partial file is left"
cmp "$work/whole.examples.jsonl" "$work/killed.examples.jsonl" || fail "other examples"
cmp "$work/whole.json" <(sed 's/killed.examples/whole.examples/' "$work/killed.json") || fail "another result"
