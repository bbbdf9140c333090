from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from tests.faults.cases import GOLDEN

from danet.backends.base import BackendOptions
from danet.backends.registry import load_model
from danet.errors import BackendError, ModelFileError

pytestmark = pytest.mark.needs("onnxruntime")
FLOAT, UINT8 = 1, 2
"""onnx.TensorProto's, for environments without onnx."""


@pytest.mark.needs("onnx")  # which makes the models
@pytest.mark.parametrize(
    ("kind", "shape", "told"),
    [
        (FLOAT, ["N", 128, 96, 3], r"tensor\(float\)', \['N', 128, 96, 3\]"),
        (FLOAT, ["N", 3, 128, 96], r"tensor\(float\)', \['N', 3, 128, 96\]"),
        (UINT8, ["N", 3, 128, 96], r"tensor\(uint8\)', \['N', 3, 128, 96\]"),
    ],
)
def test_inputs_that_are_no_pixels(kind: int, shape: list[int | str], told: str, tmp_path: Path) -> None:
    import onnx

    helper = onnx.helper
    graph = helper.make_graph(
        [helper.make_node("Cast", ["images"], ["heatmaps"], to=FLOAT)],
        "g",
        [helper.make_tensor_value_info("images", kind, shape)],
        [helper.make_tensor_value_info("heatmaps", FLOAT, shape)],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), tmp_path / "m.onnx")
    with pytest.raises(ModelFileError, match=rf"{told}.*normalisation is in the graph.*--foreign"):
        load_model(tmp_path / "m.onnx", None, BackendOptions())


class Recorded:
    """A session that notes that it was run."""

    def __init__(self, session: Any, number: int, used: set[int]) -> None:
        self._session, self._number, self._used = session, number, used

    def run(self, *given: Any) -> Any:
        self._used.add(self._number)
        return self._session.run(*given)


def test_calls_with_a_thread_each_share_a_session() -> None:
    backend = load_model(GOLDEN / "tiny.onnx", None, BackendOptions(threads=2)).backend
    assert len(backend.side_by_side(2)._idle) == 1  # type: ignore[attr-defined]


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="counts this process's threads in /proc")
def test_calls_side_by_side_have_threads_of_their_own() -> None:
    def threads() -> set[str]:
        return {task.name for task in Path("/proc/self/task").iterdir()}

    backend = load_model(GOLDEN / "tiny.onnx", None, BackendOptions(threads=6)).backend
    before = threads()
    beside = backend.side_by_side(3)  # type: ignore[attr-defined]
    assert len(threads() - before) == 3  # a session's calling thread is one of its two
    images = np.random.default_rng(0).integers(0, 256, (5, 2, 128, 96, 3), np.uint8)
    with ThreadPoolExecutor(5) as pool:  # more calls than sessions
        for found, crops in zip(pool.map(beside.run, images), images, strict=True):
            np.testing.assert_allclose(found, backend.run(crops), atol=1e-5)
    used: set[int] = set()
    for number, session in enumerate(list(beside._idle)):  # type: ignore[attr-defined]
        beside._idle[number] = Recorded(session, number, used)  # type: ignore[attr-defined]
    together = threading.Barrier(3)

    def run(crops: NDArray[np.uint8]) -> None:
        together.wait(10)
        beside.run(crops)

    with ThreadPoolExecutor(3) as pool:
        for _ in range(5):
            list(pool.map(run, images[:3]))
    assert used == {0, 1, 2}
    beside.close()
    with pytest.raises(BackendError, match="the model is closed"):
        beside.run(images[0])
    assert len(backend.run(images[0])) == 2
