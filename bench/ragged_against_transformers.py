#!/usr/bin/env python3
"""Real tokens a second on examples at their natural lengths: flanmoe with packed rows, and eager transformers with fused AdamW, padded to the longest of a batch, in turn.

usage: bench/ragged_against_transformers.py MODEL_FOLDER DATA TOKENIZER_FOLDER [--examples 4000] [--rounds 3]
Both sides take the same token ids (flanmoe bench packing --tokens-out), cut at 512 and 128. The peer runs twice: with batches of 8, and with batches of as many examples as flanmoe's
packed rows hold on average. Needs torch, transformers and safetensors from PyPI; the model's vocabulary must hold the tokenizer's.
"""
import argparse, os, statistics, tempfile

import peers

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("model")
parser.add_argument("data")
parser.add_argument("tokenizer")
parser.add_argument("--examples", type=int, default=4000)
parser.add_argument("--batch", type=int, default=8, help="rows of a batch, on both sides")
parser.add_argument("--input-length", type=int, default=512)
parser.add_argument("--target-length", type=int, default=128)
parser.add_argument("--dtype", default="bfloat16", choices=["bfloat16", "float32"])
parser.add_argument("--rounds", type=int, default=3)
parser.add_argument("--steps", type=int, default=4, help="of flanmoe and the full peer in a round; of the peer with few examples four times as many")
parser.add_argument("--threads", type=int, default=2)
parser.add_argument("--flanmoe", default="build/flanmoe")
arguments = parser.parse_args()

lengths = ["--input-length", str(arguments.input_length), "--target-length", str(arguments.target_length), "--dtype", arguments.dtype,
           "--threads", str(arguments.threads)]


def ours(steps, *more):
    return peers.flanmoe(arguments.flanmoe, "packing", "--shape", arguments.model, "--data", arguments.data, "--tokenizer", arguments.tokenizer, "--examples",
                         str(arguments.examples), "--arms", "packed", "--optimizer", "adamw", "--batch", str(arguments.batch), "--repeats", str(steps), *lengths, *more)


with tempfile.TemporaryDirectory() as work:
    tokens = os.path.join(work, "tokens.jsonl")
    num_examples = ours(1, "--tokens-out", tokens)["padded_batch"]
    arms = {"eager, %d examples" % batch: peers.Peer(arguments.model, "--tokens", tokens, "--batch", str(batch), "--optimizer", "adamw", *lengths)
            for batch in (arguments.batch, num_examples)}
    steps = dict(zip(arms, (4 * arguments.steps, arguments.steps)))
    for peer in arms.values():
        peer.step(1)
    rates, shares, memory = {"flanmoe": []}, {}, {}
    for _ in range(arguments.rounds):
        result = ours(arguments.steps)
        rates["flanmoe"].append(result["packed"]["tokens_per_s"])
        shares["flanmoe"], memory["flanmoe"] = result["packed"]["share_of_positions"], result["peak_memory_bytes"]
        for name, peer in arms.items():
            result = peer.step(steps[name])
            rates.setdefault(name, []).append(result["tokens"] / sum(result["seconds"]))
            shares[name], memory[name] = result["tokens"] / result["positions"], result["peak_memory_bytes"]
    for peer in arms.values():
        peer.close()
mine = statistics.median(rates["flanmoe"])
peers.print_table(["side", "real tokens/s", "of all positions", "peak MB", "flanmoe is faster"],
                  [[name, f"{statistics.median(values):.0f}", f"{shares[name]:.2f}", f"{memory[name] / 1e6:.0f}", f"{mine / statistics.median(values):.2f}"]
                   for name, values in rates.items()])
