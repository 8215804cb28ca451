#!/usr/bin/env python3
"""Time of a training step against tokens a row, experts and depth: a table, fitted exponents, and a plot.

usage: bench/scaling.py --out FOLDER [--dtype bfloat16] [--repeats 3]
Writes FOLDER/scaling.json and FOLDER/scaling.svg (the plot needs matplotlib from PyPI). Every sweep starts from d_model 256, d_ff 512, 4 heads of 64, 2 layers a stack, 2 rows of 512 in and
64 out, AdamW, and changes one thing: tokens a row 256 to 4096; layers 1 to 16; experts 8 to 256 in every other layer, top-2 of 2 x 1024 tokens, for the whole step, in which the
optimizer's part grows with the parameters, and for the sparse block alone, forward and backward. A vocabulary of 1000 keeps the logits small. The sizes of all sweeps are measured in turn, and the
exponent is that of least squares on the logarithms of the shortest steps.
"""
import argparse, json, math, os, statistics, tempfile

import peers

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--out", required=True)
parser.add_argument("--dtype", default="bfloat16", choices=["bfloat16", "float32"])
parser.add_argument("--repeats", type=int, default=3, help="steps a measurement")
parser.add_argument("--rounds", type=int, default=2)
parser.add_argument("--threads", type=int, default=2)
parser.add_argument("--flanmoe", default="build/flanmoe")
arguments = parser.parse_args()
common = ["--dtype", arguments.dtype, "--threads", str(arguments.threads), "--repeats", str(arguments.repeats)]


def write_model(folder, layers=2, experts=0):
    config = {"model_type": "switch_transformers" if experts else "t5", "vocab_size": 1000, "d_model": 256, "d_kv": 64, "d_ff": 512, "num_heads": 4, "num_layers": layers,
              "num_decoder_layers": layers, "feed_forward_proj": "relu", "dense_act_fn": "relu", "tie_word_embeddings": True, "dropout_rate": 0.1}
    if experts:
        sparse = list(range(1, layers, 2))
        config |= {"num_experts": experts, "encoder_sparse_step": 2, "decoder_sparse_step": 2, "num_sparse_encoder_layers": len(sparse), "num_sparse_decoder_layers": len(sparse),
                   "model_type": "flanmoe", "flanmoe": {"moe": {"num_experts": experts, "top_k": 2}, "encoder_sparse_layers": sparse, "decoder_sparse_layers": sparse}}
    os.makedirs(folder)
    with open(os.path.join(folder, "config.json"), "w") as file:
        json.dump(config, file)
    return folder


def step(folder, input_length=512, batch=2):
    return lambda: peers.flanmoe(arguments.flanmoe, "train", "--shape", folder, "--optimizer", "adamw", "--batch", str(batch), "--input-length", str(input_length), "--target-length",
                                 "64", *common)["min_s"]


def block(experts):
    return lambda: peers.flanmoe(arguments.flanmoe, "moe", "--experts", str(experts), "--top-k", "2", "--tokens", "2048", "--d-model", "256", "--d-ff", "512", *common)["min_s"]


def fit(points):
    xs, ys = [math.log(x) for x, _ in points], [math.log(y) for _, y in points]
    x0, y0 = statistics.mean(xs), statistics.mean(ys)
    return sum((x - x0) * (y - y0) for x, y in zip(xs, ys)) / sum((x - x0) ** 2 for x in xs)


def local_exponent(points):  # at the largest sizes
    return fit(points[-2:])


os.makedirs(arguments.out, exist_ok=True)
with tempfile.TemporaryDirectory() as work:
    dense = write_model(work + "/dense")
    sweeps = {"tokens a row": {length: step(dense, length) for length in (256, 512, 1024, 2048, 4096)},
              "layers a stack": {layers: step(write_model(f"{work}/layers-{layers}", layers)) for layers in (1, 2, 4, 8, 16)},
              "experts, whole step": {experts: step(write_model(f"{work}/experts-{experts}", 2, experts), 1024) for experts in (8, 16, 32, 64, 128, 256)},
              "experts, sparse block": {experts: block(experts) for experts in (8, 16, 32, 64, 128, 256)}}
    seconds = {name: {size: [] for size in sweep} for name, sweep in sweeps.items()}
    for _ in range(arguments.rounds):
        for name, sweep in sweeps.items():
            for size, measure in sweep.items():
                seconds[name][size].append(measure())
points = {name: [(size, min(values)) for size, values in sweep.items()] for name, sweep in seconds.items()}
peers.print_table(["against", "sizes", "ms", "exponent", "at the largest two"],
                  [[name, " ".join(str(x) for x, _ in p), " ".join(f"{1e3 * y:.0f}" for _, y in p), f"{fit(p):.2f}", f"{local_exponent(p):.2f}"] for name, p in points.items()])
with open(os.path.join(arguments.out, "scaling.json"), "w") as file:
    json.dump({"dtype": arguments.dtype, "threads": arguments.threads,
               "sweeps": {name: {"points": p, "exponent": fit(p), "exponent_at_largest": local_exponent(p)} for name, p in points.items()}}, file, indent=1)

import matplotlib

matplotlib.use("svg")
matplotlib.rcParams["svg.hashsalt"] = "scaling"
import matplotlib.pyplot as plt

figure, axes = plt.subplots(1, len(points), figsize=(4 * len(points), 3.4), layout="constrained")
for axis, (name, p) in zip(axes, points.items()):
    axis.loglog([x for x, _ in p], [y for _, y in p], "o-", base=2)
    scale = math.exp(statistics.mean(math.log(y) - fit(p) * math.log(x) for x, y in p))
    axis.loglog([x for x, _ in p], [scale * x ** fit(p) for x, _ in p], "--", color="grey", base=2)
    axis.set_yscale("log", base=10)
    axis.set_xticks([x for x, _ in p], [str(x) for x, _ in p])
    axis.set_xlabel(name)
    axis.set_title(f"exponent {fit(p):.2f}, at the end {local_exponent(p):.2f}", fontsize=10)
axes[0].set_ylabel("seconds a step")
figure.savefig(os.path.join(arguments.out, "scaling.svg"), metadata={"Date": None})
