#!/usr/bin/env bash
# flanmoe tokenize --train: text, JSONL with text and examples become a vocabulary that loads, the same bytes each time.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
fail() { echo "$*" >&2; exit 1; }

for i in $(seq 200); do
  echo "the captain number $i sails ship $((i * 7)) to the island of $((i % 13)) birds"
done > "$folder/a.txt"
sed 's/.*/{"text": "& and back"}/' "$folder/a.txt" > "$folder/b.jsonl"
sed 's/.*/{"inputs": "who sails? &", "targets": "nobody knows"}/' "$folder/a.txt" | gzip > "$folder/c.jsonl.gz"

train() { "$FLANMOE_BINARY" tokenize --train "$@" --num-pieces 90 --max-sentences 300 --num-sentinels 10; }
train "$folder/a.txt" "$folder/b.jsonl" "$folder/c.jsonl.gz" --out "$folder/one"
train "$folder" --out "$folder/two"
for name in spiece.model tokenizer.json tokenizer_config.json; do
  cmp "$folder/one/$name" "$folder/two/$name"
done
train "$folder/a.txt" --seed 3 --out "$folder/three"
cmp -s "$folder/one/spiece.model" "$folder/three/spiece.model" && fail "other text gives the same pieces"

ids=$(echo 'the captain sails <extra_id_0>' | "$FLANMOE_BINARY" tokenize "$folder/one")
grep -q '"<extra_id_0>","</s>"' <<< "$ids" || fail "sentinel and </s> are missing: $ids"
rm "$folder/one/spiece.model"  # tokenizer.json is enough
[ "$ids" = "$(echo 'the captain sails <extra_id_0>' | "$FLANMOE_BINARY" tokenize "$folder/one")" ] || fail "tokenizer.json gives other ids"

echo '{"txt": "x"}' > "$folder/bad.jsonl"
status=0
message=$(train "$folder/bad.jsonl" --out "$folder/four" 2>&1) || status=$?
[ $status -eq 2 ] || fail "a line without text ends in $status"
grep -q "bad.jsonl:1: .*did you mean 'txt'" <<< "$message" || fail "unexpected message: $message"
[ ! -e "$folder/four" ] || fail "a folder was written"
