from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from packaging import version

SOURCE = Path(__file__).parents[2] / "network/danet_network/cuda_depthwise.py"
PROGRAM = """
import sys
from importlib.util import module_from_spec, spec_from_file_location

import torch
from torch.nn.functional import conv2d

spec = spec_from_file_location("cuda_depthwise", sys.argv[1])
module = module_from_spec(spec)
spec.loader.exec_module(module)
device = "cuda" if torch.cuda.is_available() else "cpu"
torch.manual_seed(0)
for count, channels, height, width in ((2, 32, 8, 6), (1, 80, 10, 7), (3, 40, 3, 5), (5, 32, 12, 9)):
    x = torch.randn(count, channels, height, width, device=device, requires_grad=True)
    weight = torch.randn(channels, 1, 9, 9, device=device, requires_grad=True)
    bias = torch.randn(channels, device=device, requires_grad=True)
    gradient = torch.randn_like(x)
    found = module.depthwise9x9(x, weight, bias)
    found.backward(gradient)
    gradients = [one.grad.clone() for one in (x, weight, bias)]
    x.grad = weight.grad = bias.grad = None
    expected = conv2d(x.double(), weight.double(), bias.double(), 1, 4, 1, channels)
    expected.backward(gradient.double())
    for one, other in zip((found, *gradients), (expected, x.grad, weight.grad, bias.grad)):
        assert (one.double() - other).norm() < 2e-6 * other.norm(), (count, channels, height, width)
    found = module.depthwise9x9(x.bfloat16(), weight, bias)
    assert found.dtype == torch.bfloat16 and (found.double() - expected).norm() < 1e-2 * expected.norm()
print("same")
"""


@pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="triton, of PyTorch's CUDA builds, is absent")
def test_depthwise_is_that_of_torch_in_float64(tmp_path: Path) -> None:
    """On a GPU, or else in Triton's interpreter, which is chosen before Triton is imported."""
    if not torch.cuda.is_available() and version.parse(np.__version__) >= version.parse("2.4"):
        pytest.skip("no GPU, and Triton's interpreter needs NumPy before 2.4")
    environment = os.environ | ({} if torch.cuda.is_available() else {"TRITON_INTERPRET": "1"})
    command = [sys.executable, "-c", PROGRAM, str(SOURCE)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, cwd=tmp_path, timeout=600)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "same"
