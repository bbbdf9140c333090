from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from danet.model_spec import ModelSpec
from danet_benchmarks.case_run import frame_speeds, share_of_peak, thinned
from danet_benchmarks.file_facts import FileFacts
from danet_benchmarks.measurements import FrameRound, Round
from danet_benchmarks.results import Peak, Spread, Stages
from danet_benchmarks.trial import Trial

STAGES = Stages(1.0, 2.0, 3.0)


def test_percentiles_are_over_the_frames_of_all_rounds() -> None:
    rng = np.random.default_rng(0)
    latencies = rng.lognormal(2, 0.5, (3, 400))
    rounds = [
        Round(1.0, (FrameRound(1, 7.0, (1.0,)), FrameRound(3, pps, tuple(row))), STAGES, 0.0)
        for pps, row in zip((5.0, 4.0, 6.0), latencies.tolist(), strict=True)
    ]
    one, three = frame_speeds(rounds)
    assert one.persons == 1
    assert one.pps == Spread((7.0, 7.0, 7.0))
    assert (one.p50_ms, one.p99_ms, one.latencies_ms) == (1.0, 1.0, (1.0, 1.0, 1.0))
    assert three.pps == Spread((5.0, 4.0, 6.0))
    assert three.pps.relative == (6 - 4) / 5
    assert (three.p50_ms, three.p95_ms, three.p99_ms) == pytest.approx(np.percentile(latencies, (50, 95, 99)))
    assert len(three.latencies_ms) == 1000
    assert (three.latencies_ms[0], three.latencies_ms[-1]) == (latencies[0, 0], latencies[-1, -1])
    assert np.percentile(three.latencies_ms, 95) == pytest.approx(three.p95_ms, rel=0.05)


def test_thinned_keeps_all_of_a_few() -> None:
    assert thinned(np.arange(5.0), 5) == (0, 1, 2, 3, 4)
    assert thinned(np.arange(9.0), 5) == (0, 2, 4, 6, 8)


def test_share_of_peak(null_trial: Callable[..., Trial]) -> None:
    trial = null_trial(threads=2)
    peaks = (Peak("FP32", 1, 50.0), Peak("FP32", 2, 100.0), Peak("INT8", 2, 400.0))
    assert share_of_peak(trial, "fp32", 50.0, peaks) is None  # nobody knows what it computes
    trial = replace(trial, path=Path("x.xml"), facts=FileFacts(ModelSpec("x"), 1.0, executed_gmacs=1.2))
    assert share_of_peak(trial, "fp32", 50.0, peaks) == pytest.approx(0.6)
    assert share_of_peak(trial, "int8, rest fp32", 50.0, peaks) == pytest.approx(0.15)
    assert share_of_peak(trial, "bf16", 50.0, peaks) is None
