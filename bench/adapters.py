#!/usr/bin/env python3
"""Adapters beside full fine-tuning: step time, peak memory and optimizer state; and what a mixture costs when decoding, beside its plain kind.

usage: bench/adapters.py [--shape flan-t5-base] [--dtype bfloat16] [--threads 2] [--rounds 3] [--repeats 3] [--memory] [--json FILE]
Full fine-tuning is with AdamW, as are the adapters; batch 8, 256 in, 64 out, 128 new tokens. Every measurement is a process of its own, since peaks of memory are a process's; the
arms take turns, round by round, and a figure is the median over the rounds. --memory: one short round, for a machine on which others work.
"""
import argparse, json, statistics

import peers

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--shape", default="flan-t5-base")
parser.add_argument("--dtype", default="bfloat16")
parser.add_argument("--threads", type=int, default=2)
parser.add_argument("--rounds", type=int, default=3)
parser.add_argument("--repeats", type=int, default=3, help="steps, or decoded batches, in a round")
parser.add_argument("--new-tokens", type=int, default=128)
parser.add_argument("--train", default="mov,num_experts=10;molora,num_experts=10,rank=4;ia3;lora,rank=4", help="adapters, ; between them")
parser.add_argument("--decode", default="mov,num_experts=10:ia3;molora,num_experts=10,rank=4:lora,rank=4", help="MIXTURE:PLAIN, ; between them; empty: none")
parser.add_argument("--memory", action="store_true")
parser.add_argument("--flanmoe", default="build/flanmoe")
parser.add_argument("--json", help="a file for all figures")
arguments = parser.parse_args()
if arguments.memory:
    arguments.rounds = arguments.repeats = 1
    arguments.decode = ""
common = ["--shape", arguments.shape, "--dtype", arguments.dtype, "--threads", str(arguments.threads), "--repeats", str(arguments.repeats)]


def take_turns(arms):
    """{arm: options} -> {arm: [result, ...]}"""
    results = {arm: [] for arm in arms}
    for _ in range(arguments.rounds):
        for arm, options in arms.items():
            results[arm].append(peers.flanmoe(arguments.flanmoe, *options, *common))
    return results


def median(results, key):
    return statistics.median(result[key] for result in results)


everything = {}
adapters = [adapter for adapter in arguments.train.split(";") if adapter]
if adapters:
    full = "full fine-tuning"
    arms = {full: ["train", "--optimizer", "adamw"], **{adapter: ["train", "--optimizer", "adamw", "--adapter", adapter] for adapter in adapters}}
    everything["train"] = results = take_turns(arms)
    rows = []
    for arm, found in results.items():
        base = results[full]
        speed = [a["median_s"] / b["median_s"] for a, b in zip(base, found)]  # within a round
        rows.append([arm, f"{found[0]['num_trained_parameters']:,}", f"{median(found, 'median_s'):.3f}", f"{statistics.median(speed):.2f}",
                     f"{median(found, 'peak_memory_bytes') / 1e6:.0f}", f"{median(found, 'peak_memory_bytes') / median(base, 'peak_memory_bytes'):.3f}",
                     f"{found[0]['optimizer_state_bytes'] / 1e6:.2f}", f"{100 * found[0]['optimizer_state_bytes'] / base[0]['optimizer_state_bytes']:.3f} %"])
    peers.print_table(["trained", "parameters", "s a step", "times as fast", "peak MB", "of full", "optimizer state MB", "of full"], rows)
    print()
for pair in (pair for pair in arguments.decode.split(";") if pair):
    mixture, plain = pair.split(":")
    arms = {arm: ["generate", "--new-tokens", str(arguments.new_tokens)] + (["--adapter", arm] if arm else []) for arm in ("", plain, mixture)}
    everything[f"generate {pair}"] = results = take_turns(arms)
    rows = []
    for arm, found in results.items():
        times = [b["decode_step_s"] / a["decode_step_s"] for a, b in zip(results[plain], found)]
        rows.append([arm or "the base alone", f"{1e3 * median(found, 'decode_step_s'):.2f}", f"{median(found, 'tokens_per_s'):.0f}", f"{statistics.median(times):.3f}"])
    peers.print_table(["decodes", "ms a step", "tokens/s", f"times {plain}"], rows)
    print()
if arguments.json:
    with open(arguments.json, "w") as file:
        json.dump(everything, file, indent=1)
