"""Training steps of transformers in a process of its own, made when asked for: a line with a number on stdin, a JSON line on stdout. Started by the scripts beside it.

A bfloat16 peer keeps float32 weights under autocast; AdamW is torch's fused one, Adafactor that of transformers. Batches are random (8 rows, 256 in, 64 out) or those of a file of
token ids ({"inputs": [...], "targets": [...]} a line), cut to the given lengths and padded to the longest of the batch.
"""
import argparse, itertools, json, logging, sys, time, warnings

warnings.filterwarnings("ignore")
logging.disable(logging.WARNING)
parser = argparse.ArgumentParser()
parser.add_argument("model")
parser.add_argument("--dtype", default="bfloat16", choices=["bfloat16", "float32"])
parser.add_argument("--optimizer", default="adamw", choices=["adamw", "adafactor"])
parser.add_argument("--mode", default="eager", choices=["eager", "compile"])
parser.add_argument("--threads", type=int, default=2)
parser.add_argument("--tokens", help="file of token ids")
parser.add_argument("--batch", type=int, default=8)
parser.add_argument("--input-length", type=int, default=256)
parser.add_argument("--target-length", type=int, default=64)
arguments = parser.parse_args()

import torch
from transformers import AutoModelForSeq2SeqLM
from transformers.utils.logging import disable_progress_bar

disable_progress_bar()
torch.set_num_threads(arguments.threads)
model = AutoModelForSeq2SeqLM.from_pretrained(arguments.model, dtype=torch.float32).train()
if arguments.optimizer == "adamw":
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, fused=True)
else:
    from transformers.optimization import Adafactor

    optimizer = Adafactor(model.parameters(), lr=1e-4, relative_step=False, scale_parameter=False, warmup_init=False)
run = torch.compile(model) if arguments.mode == "compile" else model


def random_batches():
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randint(3, model.config.vocab_size - 128, (arguments.batch, arguments.input_length), generator=generator)
    labels = torch.randint(3, model.config.vocab_size - 128, (arguments.batch, arguments.target_length), generator=generator)
    while True:
        yield {"input_ids": inputs, "labels": labels}, inputs.numel() + labels.numel()


def cut(ids, length):  # the end of the sequence stays, as in flanmoe
    return ids if len(ids) <= length else ids[: length - 1] + [1]


def read_batches():
    with open(arguments.tokens) as file:
        examples = [json.loads(line) for line in file]
    pairs = itertools.cycle([(cut(e["inputs"], arguments.input_length), cut(e["targets"], arguments.target_length)) for e in examples])
    while True:
        batch = list(itertools.islice(pairs, arguments.batch))
        inputs = torch.zeros(len(batch), max(len(i) for i, _ in batch), dtype=torch.long)
        labels = torch.full((len(batch), max(len(t) for _, t in batch)), -100)
        for row, (i, t) in enumerate(batch):
            inputs[row, : len(i)] = torch.tensor(i)
            labels[row, : len(t)] = torch.tensor(t)
        yield {"input_ids": inputs, "attention_mask": (inputs != 0).long(), "labels": labels}, sum(len(i) + len(t) for i, t in batch)


def peak_memory_bytes():  # not ru_maxrss, which starts with what the parent had
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) * 1024 for line in file if line.startswith("VmHWM"))


batches = read_batches() if arguments.tokens else random_batches()
for line in sys.stdin:
    seconds, tokens, positions = [], 0, 0
    for _ in range(int(line)):
        batch, num_tokens = next(batches)
        start = time.perf_counter()
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast("cpu", torch.bfloat16, enabled=arguments.dtype == "bfloat16"):
            loss = run(**batch).loss
        loss.backward()
        optimizer.step()
        seconds.append(time.perf_counter() - start)
        tokens += num_tokens
        positions += batch["input_ids"].numel() + batch["labels"].numel()
    print(json.dumps({"seconds": seconds, "tokens": tokens, "positions": positions, "peak_memory_bytes": peak_memory_bytes()}), flush=True)
