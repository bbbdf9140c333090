from __future__ import annotations

import numpy as np
import openvino as ov
import pytest
from openvino import opset13

from danet_calibration.running_means import means_after


def test_calls_of_the_warm_up_do_not_count() -> None:
    # 5 calls of 9 ms, then 30 of 2 ms: the counters show 9, and at the end (5 * 9 + 30 * 2) / 35
    assert means_after({"norm": 9.0}, {"norm": 3.0}, 5, 35) == pytest.approx({"norm": 2.0})


def test_counters_of_whole_microseconds_give_no_negative_time() -> None:
    assert means_after({"norm": 0.001}, {"norm": 0.0}, 3, 18) == {"norm": 0.0}


def test_openvino_s_counters_are_means_since_compilation() -> None:
    """Should they become those of the last call, `means_after` would be wrong."""
    given = opset13.parameter([-1, 512], np.float32)
    product = opset13.matmul(given, opset13.constant(np.ones((512, 512), np.float32)), False, False)
    request = ov.Core().compile_model(ov.Model([product], [given]), "CPU", {"PERF_COUNT": "YES"}).create_infer_request()

    def shown_after(rows: int) -> float:
        request.infer({0: np.ones((rows, 512), np.float32)})
        return sum(one.real_time.total_seconds() for one in request.get_profiling_info())

    large = shown_after(4096)
    assert shown_after(1) > large / 3  # half of it and more, where the last call alone would be a thousandth
