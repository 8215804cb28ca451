#!/usr/bin/env python3
"""Makes tests/golden/pytorch_bin: one state dict as torch.save() writes it (zip, and the format of before PyTorch 1.6) and the same
values as safetensors. Run with torch and safetensors installed: tools/make_bin_fixture.py [FOLDER]. Made with torch 2.15.0,
safetensors 0.8.0."""
import pathlib
import sys

import torch
from safetensors.torch import save_file

folder = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).parent.parent / "tests/golden/pytorch_bin")
folder.mkdir(parents=True, exist_ok=True)


class Model(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.shared = torch.nn.Embedding(5, 4)
        self.lm_head = torch.nn.Linear(4, 5, bias=False)
        self.lm_head.weight = self.shared.weight  # tied: one storage, two names
        with torch.no_grad():
            self.shared.weight.copy_(torch.arange(20).reshape(5, 4) * 0.25 - 2)


state = Model().state_dict()  # an OrderedDict with _metadata
base = torch.arange(24, dtype=torch.float32).reshape(4, 6)
state["transposed"] = base.t()
state["slice"] = base[1:3, 2:5]
state["parameter"] = torch.nn.Parameter(torch.tensor([1.5, -2.5]))
state["scalar"] = torch.tensor(3.25, dtype=torch.float64)
state["empty"] = torch.zeros(0, 3)
state["half"] = torch.tensor([[1.0, -0.5], [65504.0, 0.0]], dtype=torch.float16)
state["bfloat16"] = torch.tensor([1.0, -3.0, 1e30], dtype=torch.bfloat16)
state["long"] = torch.tensor([2**40, -1])
state["int"] = torch.tensor([7, -8], dtype=torch.int32)
state["short"] = torch.tensor([300, -300], dtype=torch.int16)
state["char"] = torch.tensor([-128, 127], dtype=torch.int8)
state["byte"] = torch.tensor([0, 255], dtype=torch.uint8)
state["bool"] = torch.tensor([True, False, True])

torch.save(state, folder / "zip.bin")
torch.save(state, folder / "legacy.bin", _use_new_zipfile_serialization=False)
torch.save({"epoch": 3, "model": dict(state)}, folder / "training_checkpoint.bin")
torch.save(dict(plain=torch.ones(2), expanded=torch.ones(1).expand(4)), folder / "expanded.bin")
save_file({name: tensor.detach().clone().contiguous() for name, tensor in state.items()}, folder / "expected.safetensors", metadata={"format": "pt"})
for path in folder.iterdir():
    path.chmod(0o644)
