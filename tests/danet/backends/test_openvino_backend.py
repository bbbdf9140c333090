from __future__ import annotations

import os
import shutil
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import numpy as np
import openvino as ov
import pytest
from openvino import opset13

from danet.backends import openvino_backend
from danet.backends.base import BackendOptions
from danet.backends.openvino_backend import OpenVinoBackend
from danet.backends.registry import load_model
from danet.errors import ModelFileError

GOLDEN = Path(__file__).parents[2] / "compatibility/golden/version-1"

FIRST_TENSORS_AT_ONCE = """
import threading
import numpy as np
from danet import PoseEstimator

estimator = PoseEstimator("danet72", threads=1)
frame = np.zeros((64, 48, 3), np.uint8)
barrier = threading.Barrier(4)

def first_call():
    barrier.wait()
    estimator.infer(frame)

threads = [threading.Thread(target=first_call) for _ in range(4)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
"""


@pytest.mark.long
def test_first_calls_from_several_threads_do_not_block_each_other() -> None:
    # pybind11 sets NumPy up at the process's first tensor; two threads there at once used to hang for ever
    for _ in range(3):
        subprocess.run([sys.executable, "-c", FIRST_TENSORS_AT_ONCE], check=True, timeout=60)


@pytest.mark.parametrize(("name", "largest"), [("tiny.xml", 2), ("tiny-int8.xml", 5)])
def test_shares_go_in_batches_that_fit_the_arithmetic(name: str, largest: int) -> None:
    """INT8 gains by larger ones: docs/performance.md."""
    backend = load_model(GOLDEN / name, None, BackendOptions()).backend
    assert isinstance(backend, OpenVinoBackend)
    beside = backend.side_by_side(2)
    assert (backend.share_batch, beside.share_batch) == (largest, largest)
    beside.close()
    backend.close()


@pytest.mark.parametrize("how", ["written over", "cut short", "replaced", "removed"])
def test_an_open_model_does_not_hang_on_its_file(how: str, tmp_path: Path) -> None:
    """OpenVINO would map it: compiled graphs would answer with the new weights, and a shorter file end the process."""
    for suffix in (".xml", ".bin"):
        shutil.copy(GOLDEN / f"tiny{suffix}", tmp_path / f"tiny{suffix}")
    weights = tmp_path / "tiny.bin"
    zeros = bytes(weights.stat().st_size)
    with closing(load_model(tmp_path / "tiny.xml", None, BackendOptions()).backend) as backend:
        expected = backend.run(np.full((1, 128, 96, 3), 90, np.uint8))
        if how == "written over":
            weights.write_bytes(zeros)
        elif how == "cut short":
            os.truncate(weights, 0)
        elif how == "replaced":
            (tmp_path / "new.bin").write_bytes(zeros)
            (tmp_path / "new.bin").replace(weights)
        else:
            weights.unlink()
        np.testing.assert_array_equal(backend.run(np.full((1, 128, 96, 3), 90, np.uint8)), expected)
        later = backend.run(np.full((2, 128, 96, 3), 90, np.uint8))
    np.testing.assert_allclose(later, np.broadcast_to(expected, later.shape), atol=1e-5)


@pytest.fixture
def crops() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (2, 128, 96, 3), np.uint8)


@pytest.mark.parametrize("name", ["tiny.xml", "tiny-int8.xml"])
def test_heatmaps_are_the_callers_and_in_one_piece(name: str, crops: np.ndarray) -> None:
    """OpenVINO's buffer holds them in another order and is written again by the next call."""
    backend = load_model(GOLDEN / name, None, BackendOptions()).backend
    first = backend.run(crops)
    kept = first.copy()
    assert first.flags.c_contiguous
    assert first.flags.owndata
    backend.run(crops[::-1].copy())
    np.testing.assert_array_equal(first, kept)
    backend.close()


@pytest.mark.parametrize("name", ["tiny.xml", "tiny-int8.xml"])
def test_heatmaps_are_in_the_files_own_order(name: str, crops: np.ndarray) -> None:
    model = ov.Core().read_model(GOLDEN / name)
    model.reshape({0: list(crops.shape)})
    expected = ov.Core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})(crops)[0]
    backend = load_model(GOLDEN / name, None, BackendOptions()).backend
    np.testing.assert_allclose(backend.run(crops), expected, rtol=0, atol=1e-5 * np.abs(expected).max())
    backend.close()


def test_a_device_in_small_letters(crops: np.ndarray) -> None:
    """As other libraries write it."""
    assert BackendOptions(device="gpu.0").device == "GPU.0"
    with closing(load_model(GOLDEN / "tiny.xml", None, BackendOptions(device="cpu")).backend) as backend:
        assert backend.run(crops).shape[0] == len(crops)


def subgraphs(compiled: ov.CompiledModel) -> int:
    nodes = compiled.get_runtime_model().get_ops()
    return [node.get_rt_info()["layerType"].astype(str) for node in nodes].count("Subgraph")


def subgraphs_of(backend: OpenVinoBackend, crops: np.ndarray) -> int:
    with backend._pools.lend(crops.shape) as request:
        return subgraphs(request.get_compiled_model())


@pytest.fixture(scope="module")
def usual_subgraphs() -> dict[str, int]:
    """How many the tokenizer makes of each graph by itself, by the file's name."""
    counts = {}
    for name in ("tiny.xml", "tiny-int8.xml"):
        model = ov.Core().read_model(GOLDEN / name)
        model.reshape({0: [2, 128, 96, 3]})  # of a free batch it makes none
        counts[name] = subgraphs(ov.Core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"}))
    return counts


def skip_without(usual: int) -> None:
    """At the end of a test that counts them, all else being asserted."""
    if usual == 0:
        pytest.skip("OpenVINO makes no Subgraph nodes on this CPU (it has no AVX2), so there are none to count")


def test_shares_do_without_the_tokenizer_and_answer_the_same(
    crops: np.ndarray, usual_subgraphs: dict[str, int], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("DANET_CACHE_DIR", str(tmp_path))
    backend = load_model(GOLDEN / "tiny.xml", None, BackendOptions()).backend
    assert isinstance(backend, OpenVinoBackend)
    beside = backend.side_by_side(2)
    expected = backend.run(crops)
    np.testing.assert_allclose(beside.run(crops), expected, rtol=0, atol=1e-5 * np.abs(expected).max())
    counts = [subgraphs_of(one, crops) for one in (backend, beside)]
    for one in (backend, beside):
        one.close()
    assert counts[1] == 0
    skip_without(usual_subgraphs["tiny.xml"])
    assert counts[0] > 0


def test_a_graph_that_answers_otherwise_without_the_tokenizer_keeps_it(
    crops: np.ndarray, usual_subgraphs: dict[str, int], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """OpenVINO 2026.4 does so with INT8 graphs whose features are in float."""
    monkeypatch.setenv("DANET_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(openvino_backend, "MOST_DIFFERENT", -1.0)
    backend = load_model(GOLDEN / "tiny-int8.xml", None, BackendOptions(streams=2)).backend
    assert isinstance(backend, OpenVinoBackend)
    expected = backend.run(crops)
    counts = [subgraphs_of(backend, crops)]
    backend.close()
    again = load_model(GOLDEN / "tiny-int8.xml", None, BackendOptions(streams=2)).backend  # the graph that was kept
    assert isinstance(again, OpenVinoBackend)
    np.testing.assert_array_equal(again.run(crops), expected)
    counts.append(subgraphs_of(again, crops))
    again.close()
    skip_without(usual_subgraphs["tiny-int8.xml"])
    assert min(counts) > 0


def test_wrong_heatmaps_differ_by_more_than_is_allowed(crops: np.ndarray) -> None:
    def answering(scale: float) -> ov.CompiledModel:
        images = opset13.parameter(list(crops.shape), np.uint8)
        pixels = opset13.convert(images, np.float32)
        return ov.compile_model(ov.Model([opset13.multiply(pixels, np.float32(scale))], [images], "scaled"), "CPU")

    assert openvino_backend._difference(answering(1.01), answering(1), crops) == pytest.approx(1e-4, rel=1e-3)
    assert openvino_backend._difference(answering(1.5), answering(1), crops) > openvino_backend.MOST_DIFFERENT
    assert openvino_backend._difference(answering(0), answering(0), crops) == 0
    assert not openvino_backend._difference(answering(np.nan), answering(1), crops) <= openvino_backend.MOST_DIFFERENT


@pytest.mark.parametrize(
    ("shape", "kind", "told"),
    [
        ([-1, 128, 96, 3], np.float32, r"f32 \[\?,128,96,3\]"),
        ([-1, 3, 128, 96], np.float32, r"f32 \[\?,3,128,96\]"),
        ([-1, 3, 128, 96], np.uint8, r"u8 \[\?,3,128,96\]"),
        ([-1, 128, 96], np.uint8, r"u8 \[\?,128,96\]"),
    ],
)
def test_inputs_that_are_no_pixels(shape: list[int], kind: type, told: str, tmp_path: Path) -> None:
    images = opset13.parameter(shape, kind)
    ov.save_model(ov.Model([opset13.relu(opset13.convert(images, np.float32))], [images], "m"), tmp_path / "m.xml")
    with pytest.raises(ModelFileError, match=rf"{told}.*normalisation is in the graph.*--foreign"):
        load_model(tmp_path / "m.xml", None, BackendOptions())


def test_an_openvino_that_knows_no_tokenizer_is_left_alone(
    crops: np.ndarray, usual_subgraphs: dict[str, int], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("DANET_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(openvino_backend, "_WITHOUT_TOKENIZER", {"NO_SUCH_PROPERTY": "DISABLE"})
    openvino_backend._can_leave_tokenizer.cache_clear()
    backend = load_model(GOLDEN / "tiny.xml", None, BackendOptions(streams=2)).backend
    assert isinstance(backend, OpenVinoBackend)
    assert backend.run(crops).shape[0] == len(crops)
    count = subgraphs_of(backend, crops)
    backend.close()
    openvino_backend._can_leave_tokenizer.cache_clear()
    skip_without(usual_subgraphs["tiny.xml"])
    assert count > 0
