#!/usr/bin/env python3
"""Optimizer updates of flanmoe and of torch on the shapes of Flan-T5-small, alternating; prints one JSON line.

usage: bench/optimizer_against_torch.py [--optimizer adamw|sgd] [--rounds 5] [--threads 2]
Needs torch and transformers from PyPI. torch's optimizer is its fused one, float32 on both sides; the least time of either counts.
"""
import argparse, json, subprocess, time

parser = argparse.ArgumentParser()
parser.add_argument("--optimizer", default="adamw", choices=["adamw", "sgd"])
parser.add_argument("--rounds", type=int, default=5)
parser.add_argument("--threads", type=int, default=2)
parser.add_argument("--flanmoe", default="build/flanmoe")
arguments = parser.parse_args()

import torch
from transformers import T5Config, T5ForConditionalGeneration

torch.set_num_threads(arguments.threads)
model = T5ForConditionalGeneration(T5Config(vocab_size=32128, d_model=512, d_kv=64, d_ff=1024, num_layers=8, num_heads=6, feed_forward_proj="gated-gelu", tie_word_embeddings=False))
parameters = [torch.nn.Parameter(value.detach().clone()) for name, value in model.state_dict().items() if "embed_tokens" not in name]
del model
for parameter in parameters:
    parameter.grad = torch.randn_like(parameter)
if arguments.optimizer == "adamw":
    optimizer = torch.optim.AdamW(parameters, lr=1e-4, fused=True)
else:
    optimizer = torch.optim.SGD(parameters, lr=1e-4, momentum=0.9, fused=True)


def theirs():
    start = time.perf_counter()
    optimizer.step()
    return time.perf_counter() - start


def ours():
    command = [arguments.flanmoe, "bench", "optimizer", "--shape", "flan-t5-small", "--optimizer", arguments.optimizer, "--threads", str(arguments.threads), "--repeats", "5", "--json"]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


theirs()
their_s, mine = [], []
for _ in range(arguments.rounds):
    their_s += [theirs() for _ in range(5)]
    mine.append(ours())
our_s = min(m["min_s"] for m in mine)
assert mine[0]["num_parameters"] == sum(p.numel() for p in parameters)
print(json.dumps({"optimizer": arguments.optimizer, "threads": arguments.threads, "torch_s": round(min(their_s), 4), "flanmoe_s": round(our_s, 4), "ratio": round(min(their_s) / our_s, 2)}))
