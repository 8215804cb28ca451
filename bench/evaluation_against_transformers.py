#!/usr/bin/env python3
"""Scoring of choices and greedy generation by flanmoe and by transformers on one model folder, in turn: examples and tokens a second, and ratios.

usage: bench/evaluation_against_transformers.py MODEL_FOLDER [--what choices,generate] [--rounds 3] [--repeats 2] [--threads 2] [--json FILE]
Needs torch and transformers from PyPI. Choices: 16 inputs of 256 tokens, 4 choices of 8 tokens each; transformers scores one (input, choice) pair a row in fp32 batches of 8,
flanmoe in fp32 and in bf16. Generation: batch 8, fp32, 256 tokens in, 128 out, </s> ignored, the whole call. All sides use as many threads; the peer has a process of its own
that waits while it is not measured. A figure is the median over the rounds of the medians in a round; what comes first on each side does not count.
"""
import argparse, json, statistics, subprocess, sys, time

import peers

EXAMPLES, CHOICES, CHOICE_LENGTH, INPUT_LENGTH, BATCH, NEW_TOKENS = 16, 4, 8, 256, 8, 128
parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("model")
parser.add_argument("--what", default="choices,generate")
parser.add_argument("--rounds", type=int, default=3)
parser.add_argument("--repeats", type=int, default=2, help="in a round")
parser.add_argument("--threads", type=int, default=2)
parser.add_argument("--flanmoe", default="build/flanmoe")
parser.add_argument("--json", help="a file for all figures")
parser.add_argument("--peer", choices=["choices", "generate"], help=argparse.SUPPRESS)
arguments = parser.parse_args()


def run_peer():
    import logging, warnings

    warnings.filterwarnings("ignore")
    logging.disable(logging.WARNING)
    import torch
    from transformers import AutoModelForSeq2SeqLM
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()
    torch.set_num_threads(arguments.threads)
    model = AutoModelForSeq2SeqLM.from_pretrained(arguments.model, dtype=torch.float32).eval()
    generator = torch.Generator().manual_seed(0)

    def random_ids(rows, length):
        return torch.randint(3, model.config.vocab_size - 128, (rows, length), generator=generator)

    inputs = random_ids(EXAMPLES, INPUT_LENGTH).repeat_interleave(CHOICES, 0)
    choices = random_ids(EXAMPLES * CHOICES, CHOICE_LENGTH)

    def score():
        for start in range(0, len(inputs), BATCH):
            labels = choices[start : start + BATCH]
            logits = model(input_ids=inputs[start : start + BATCH], labels=labels).logits
            logits.log_softmax(-1).gather(-1, labels[:, :, None]).sum((1, 2))

    prompts = random_ids(BATCH, INPUT_LENGTH)

    def generate():
        model.generate(prompts, attention_mask=torch.ones_like(prompts), max_new_tokens=NEW_TOKENS, min_new_tokens=NEW_TOKENS, do_sample=False)

    work = {"choices": score, "generate": generate}[arguments.peer]
    with torch.no_grad():
        for line in sys.stdin:
            seconds = []
            for _ in range(int(line)):
                start = time.perf_counter()
                work()
                seconds.append(time.perf_counter() - start)
            print(json.dumps(seconds), flush=True)


def ask(peer, count):
    peer.stdin.write(f"{count}\n")
    peer.stdin.flush()
    line = peer.stdout.readline()
    if not line:
        sys.exit(f"the peer ended with {peer.wait()}")
    return json.loads(line)


def measure(what):
    per_call = {"choices": EXAMPLES, "generate": BATCH * NEW_TOKENS}[what]
    rate = {"choices": "examples_per_s", "generate": "tokens_per_s"}[what]
    dtypes = {"choices": ["float32", "bfloat16"], "generate": ["float32"]}[what]
    shape = {"choices": ["--examples", EXAMPLES, "--choices", CHOICES, "--choice-length", CHOICE_LENGTH], "generate": ["--batch", BATCH, "--new-tokens", NEW_TOKENS]}[what]
    options = ["--shape", arguments.model, "--threads", arguments.threads, "--repeats", arguments.repeats, "--input-length", INPUT_LENGTH, *shape]
    peer = subprocess.Popen([sys.executable, __file__, *sys.argv[1:], "--peer", what], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    ask(peer, 1)
    rates = {name: [] for name in ["transformers", *dtypes]}
    for _ in range(arguments.rounds):
        for dtype in dtypes:
            rates[dtype].append(peers.flanmoe(arguments.flanmoe, what, *map(str, options), "--dtype", dtype)[rate])
        rates["transformers"].append(per_call / statistics.median(ask(peer, arguments.repeats)))
    peer.stdin.close()
    peer.wait()
    return {"what": what, "rounds": rates, rate: {name: statistics.median(values) for name, values in rates.items()}}


def rows_of(result):
    figures = result.get("examples_per_s") or result["tokens_per_s"]
    unit = "examples/s" if result["what"] == "choices" else "tokens/s"
    for dtype in [name for name in figures if name != "transformers"]:
        against = "float32" if dtype == "bfloat16" else "transformers"
        yield [result["what"], dtype, f"{figures[dtype]:.1f} {unit}", f"{'flanmoe fp32' if against == 'float32' else 'transformers fp32'}: {figures[against]:.1f}",
               f"{figures[dtype] / figures[against]:.2f}"]


if arguments.peer:
    run_peer()
    sys.exit()
results = [measure(what) for what in arguments.what.split(",")]
peers.print_table(["what", "dtype", "flanmoe", "against", "ratio"], [row for result in results for row in rows_of(result)])
if arguments.json:
    with open(arguments.json, "w") as file:
        json.dump(results, file, indent=1)
