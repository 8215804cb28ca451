#!/usr/bin/env python3
"""Training steps of flanmoe and of transformers on one model folder, alternating; prints one JSON line a setting with the ratio of tokens a second.

usage: bench/train_against_transformers.py MODEL_FOLDER [--dtype bfloat16|float32] [--optimizer adamw|adafactor] [--mode eager|compile] [--rounds 3]
Needs torch, transformers and safetensors from PyPI. Batch 8, 256 in, 64 out, the same number of threads on both sides. A bfloat16 peer keeps float32 weights under autocast.
"""
import argparse, json, os, statistics, subprocess, time

parser = argparse.ArgumentParser()
parser.add_argument("model")
parser.add_argument("--dtype", default="bfloat16", choices=["bfloat16", "float32"])
parser.add_argument("--optimizer", default="adamw", choices=["adamw", "adafactor"])
parser.add_argument("--mode", default="eager", choices=["eager", "compile"])
parser.add_argument("--rounds", type=int, default=3)
parser.add_argument("--threads", type=int, default=2)
parser.add_argument("--flanmoe", default="build/flanmoe")
arguments = parser.parse_args()

import torch
from transformers import AutoModelForSeq2SeqLM
from transformers.optimization import Adafactor

torch.set_num_threads(arguments.threads)
model = AutoModelForSeq2SeqLM.from_pretrained(arguments.model, dtype=torch.float32).train()
if arguments.optimizer == "adamw":
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, fused=True)
else:
    optimizer = Adafactor(model.parameters(), lr=1e-4, relative_step=False, scale_parameter=False, warmup_init=False)
run = torch.compile(model) if arguments.mode == "compile" else model
generator = torch.Generator().manual_seed(0)
inputs = torch.randint(3, model.config.vocab_size - 128, (8, 256), generator=generator)
labels = torch.randint(3, model.config.vocab_size - 128, (8, 64), generator=generator)


def step():
    start = time.perf_counter()
    optimizer.zero_grad(set_to_none=True)
    with torch.autocast("cpu", torch.bfloat16, enabled=arguments.dtype == "bfloat16"):
        loss = run(input_ids=inputs, labels=labels).loss
    loss.backward()
    optimizer.step()
    return time.perf_counter() - start


def ours():
    command = [arguments.flanmoe, "bench", "train", "--shape", arguments.model, "--dtype", arguments.dtype, "--optimizer", arguments.optimizer,
               "--threads", str(arguments.threads), "--repeats", "3", "--json"]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


step(), step()
theirs, mine = [], []
for _ in range(arguments.rounds):
    theirs += [step(), step()]
    mine.append(ours())
tokens = 8 * (256 + 64)
their_rate, our_rate = tokens / statistics.median(theirs), statistics.median(m["tokens_per_s"] for m in mine)
print(json.dumps({"model": os.path.basename(arguments.model.rstrip("/")), "dtype": arguments.dtype, "optimizer": arguments.optimizer, "mode": arguments.mode,
                  "threads": arguments.threads, "transformers_tokens_per_s": round(their_rate, 1), "flanmoe_tokens_per_s": round(our_rate, 1),
                  "ratio": round(our_rate / their_rate, 2), "fraction_of_matmul": round(statistics.median(m["fraction_of_matmul"] for m in mine), 3),
                  "peak_memory_mb": round(max(m["peak_memory_bytes"] for m in mine) / 2**20)}))
