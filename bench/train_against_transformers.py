#!/usr/bin/env python3
"""Training steps of flanmoe, of eager transformers and of torch.compile on one model folder, in turn: tokens a second, ratios and peak memory.

usage: bench/train_against_transformers.py MODEL_FOLDER [--dtype bfloat16,float32] [--optimizer adamw,adafactor] [--mode eager,compile] [--rounds 3] [--json FILE]
Needs torch, transformers and safetensors from PyPI. Batch 8, 256 in, 64 out, the same number of threads on all sides; every side in a process of its own, and those that are not
measured wait. A bfloat16 peer keeps float32 weights under autocast. A figure is the median over the rounds of the medians in a round; the first steps of each do not count.
"""
import argparse, json, os, statistics

import peers

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("model")
parser.add_argument("--dtype", default="bfloat16,float32")
parser.add_argument("--optimizer", default="adamw,adafactor")
parser.add_argument("--mode", default="eager,compile")
parser.add_argument("--rounds", type=int, default=3)
parser.add_argument("--steps", type=int, default=3, help="in a round")
parser.add_argument("--threads", type=int, default=2)
parser.add_argument("--flanmoe", default="build/flanmoe")
parser.add_argument("--json", help="a file for all figures")
arguments = parser.parse_args()
tokens, modes = 8 * (256 + 64), [mode for mode in arguments.mode.split(",") if mode]


def measure(dtype, optimizer):
    options = ["--dtype", dtype, "--optimizer", optimizer, "--threads", str(arguments.threads)]
    others = {mode: peers.Peer(arguments.model, "--mode", mode, *options) for mode in modes}
    for peer in others.values():
        peer.step(2)
    rates, memory, fractions = {"flanmoe": [], **{mode: [] for mode in modes}}, {}, []
    for _ in range(arguments.rounds):
        ours = peers.flanmoe(arguments.flanmoe, "train", "--shape", arguments.model, "--repeats", str(arguments.steps), *options)
        rates["flanmoe"].append(ours["tokens_per_s"])
        fractions.append(ours["fraction_of_matmul"])
        memory["flanmoe"] = max(memory.get("flanmoe", 0), ours["peak_memory_bytes"])
        for mode, peer in others.items():
            result = peer.step(arguments.steps)
            rates[mode].append(tokens / statistics.median(result["seconds"]))
            memory[mode] = result["peak_memory_bytes"]
    for peer in others.values():
        peer.close()
    return {"model": os.path.basename(arguments.model.rstrip("/")), "dtype": dtype, "optimizer": optimizer, "threads": arguments.threads,
            "fraction_of_matmul": statistics.median(fractions), "rounds": rates,
            "tokens_per_s": {name: statistics.median(values) for name, values in rates.items()}, "peak_memory_bytes": memory}


results = [measure(dtype, optimizer) for dtype in arguments.dtype.split(",") for optimizer in arguments.optimizer.split(",")]
rows = []
for r in results:
    rate, memory = r["tokens_per_s"], r["peak_memory_bytes"]
    rows.append([r["dtype"], r["optimizer"], f"{rate['flanmoe']:.0f}", f"{r['fraction_of_matmul']:.2f}"] +
                [text for m in modes for text in (f"{rate[m]:.0f}", f"{rate['flanmoe'] / rate[m]:.2f}")] +
                [f"{memory['flanmoe'] / 1e6:.0f}"] + [text for m in modes for text in (f"{memory[m] / 1e6:.0f}", f"{memory['flanmoe'] / memory[m]:.2f}")])
peers.print_table(["dtype", "optimizer", "flanmoe tokens/s", "of matmul rate"] + [text for m in modes for text in (f"{m} tokens/s", f"times {m}")] +
                  ["flanmoe MB"] + [text for m in modes for text in (f"{m} MB", f"of {m}")], rows)
if arguments.json:
    with open(arguments.json, "w") as file:
        json.dump(results, file, indent=1)
