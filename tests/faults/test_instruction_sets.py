"""The same keypoints on CPUs with fewer instructions, as ONEDNN_MAX_CPU_ISA makes this one."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

pytestmark = pytest.mark.skipif(
    platform.machine().lower() not in ("x86_64", "amd64"), reason="oneDNN's instruction sets are those of x86"
)
PIXELS = 0.01
"""That a keypoint may move; measured: 0.0000 (docs/faults.md)."""
SCORE = 1e-4


def answers(model: str, instructions: str | None) -> dict[str, Any]:
    environment = {name: value for name, value in os.environ.items() if name != "ONEDNN_MAX_CPU_ISA"}
    if instructions:
        environment["ONEDNN_MAX_CPU_ISA"] = instructions
    line = [sys.executable, "-m", "tests.faults.isa_child", model]
    done = subprocess.run(line, capture_output=True, text=True, timeout=120, check=True, env=environment)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.mark.long
def test_embedded_model_with_sse4_alone() -> None:
    best, least = answers("danet72", None), answers("danet72", "SSE41")
    assert not [name for name in least["kernels"] if "avx" in name]  # the limit is kept to
    assert [name for name in best["kernels"] if "avx" in name]
    np.testing.assert_allclose(least["keypoints"], best["keypoints"], atol=PIXELS)
    np.testing.assert_allclose(least["scores"], best["scores"], atol=SCORE)


@pytest.mark.slow
@pytest.mark.parametrize("instructions", ["AVX", "AVX2", "AVX512_CORE"])
def test_embedded_model_with_others(instructions: str) -> None:
    best, fewer = answers("danet72", None), answers("danet72", instructions)
    np.testing.assert_allclose(fewer["keypoints"], best["keypoints"], atol=PIXELS)
    np.testing.assert_allclose(fewer["scores"], best["scores"], atol=SCORE)
