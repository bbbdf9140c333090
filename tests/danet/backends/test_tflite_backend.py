from __future__ import annotations

import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

pytest.importorskip("ai_edge_litert", reason="the extra `tflite` is not installed")

from danet.backends.base import Backend, BackendOptions
from danet.backends.registry import BACKENDS, load_model
from danet.backends.tflite_backend import Delegate, TfliteBackend, _infer, open_tflite
from danet.errors import BackendError, MissingExtraError, ModelFileError, ModelSpecError
from danet.estimator import PoseEstimator
from danet.model_spec import ModelSpec
from danet.tflite_file import with_spec

OLD_PYTHON = "DANET_TFLITE_RUNTIME_PYTHON"
"""Environment variable: the python of a venv with tflite-runtime 2.14 and NumPy < 2."""


@pytest.fixture(scope="module")
def crops(scene: object) -> NDArray[np.uint8]:
    """Five crops of 128 x 96."""
    return np.random.default_rng(0).integers(0, 256, (5, 128, 96, 3), np.uint8)


@pytest.fixture(scope="module")
def expected(
    request: pytest.FixtureRequest, tiny_spec: ModelSpec, tiny_ir: Path, crops: NDArray[np.uint8]
) -> NDArray[np.float32]:
    """Of the network itself; where torch is not installed, of its IR."""
    if not find_spec("torch"):
        return load_model(tiny_ir, None, BackendOptions()).backend.run(crops)
    from danet_network.runner import TorchRunner

    return TorchRunner(request.getfixturevalue("tiny_network"), tiny_spec).run(crops)


@pytest.fixture(scope="module")
def tiny_spec(tiny_tflite: Path) -> ModelSpec:
    spec = open_tflite(tiny_tflite).spec
    assert spec is not None
    return spec


def test_is_a_backend(tiny_tflite: Path) -> None:
    assert isinstance(open_tflite(tiny_tflite), Backend)


def test_loaded(tiny_tflite: Path) -> None:
    loaded = load_model(tiny_tflite, None, BackendOptions(threads=1))
    assert isinstance(loaded.backend, TfliteBackend)
    assert loaded.spec is not None
    assert (loaded.spec.name, loaded.precision, loaded.batch_sizes) == ("tiny", "fp32", None)


@pytest.mark.parametrize("size", [1, 2, 4, 5])
def test_any_batch_size(size: int, tiny_tflite: Path, crops: NDArray[np.uint8], expected: NDArray[np.float32]) -> None:
    backend = open_tflite(tiny_tflite, threads=2)
    found = backend.run(crops[:size])
    assert (found.dtype, found.shape, found.flags.c_contiguous) == (np.float32, (size, 17, 32, 24), True)
    np.testing.assert_allclose(found, expected[:size], atol=1e-4 * np.ptp(expected))


def test_answers_are_the_callers_to_keep(tiny_tflite: Path, crops: NDArray[np.uint8]) -> None:
    backend = open_tflite(tiny_tflite)
    first = backend.run(crops[:1])
    kept = first.copy()
    backend.run(crops[1:2])
    np.testing.assert_array_equal(first, kept)


@pytest.mark.parametrize("streams", [1, 3])
def test_calls_from_several_threads(
    streams: int, tiny_tflite: Path, crops: NDArray[np.uint8], expected: NDArray[np.float32]
) -> None:
    backend = open_tflite(tiny_tflite, threads=2, streams=streams)
    barrier = threading.Barrier(4, timeout=10)

    def run(number: int) -> None:
        barrier.wait()
        for index in range(6):
            size = 1 + (number + index) % 4
            np.testing.assert_allclose(backend.run(crops[:size]), expected[:size], atol=1e-4 * np.ptp(expected))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(run, range(4)))


def test_the_file_may_go_once_it_is_open(tiny_tflite: Path, crops: NDArray[np.uint8], tmp_path: Path) -> None:
    copy = tmp_path / "copy.tflite"
    copy.write_bytes(tiny_tflite.read_bytes())
    backend = open_tflite(copy)
    copy.write_bytes(b"")
    assert backend.run(crops[:2]).shape == (2, 17, 32, 24)


def test_closed(tiny_tflite: Path, crops: NDArray[np.uint8]) -> None:
    backend = open_tflite(tiny_tflite)
    backend.run(crops[:1])
    backend.close()
    backend.close()
    with pytest.raises(BackendError, match="closed; open it again"):
        backend.run(crops[:1])


@pytest.mark.parametrize("shape", [(1, 96, 128, 3), (1, 128, 96, 1), (128, 96, 3)])
def test_crops_of_another_size(shape: tuple[int, ...], tiny_tflite: Path) -> None:
    with pytest.raises(BackendError, match="expected uint8"):
        open_tflite(tiny_tflite).run(np.zeros(shape, np.uint8))


def test_no_streams(tiny_tflite: Path) -> None:
    with pytest.raises(BackendError, match="streams 0, expected 1 or more"):
        open_tflite(tiny_tflite, streams=0)


def test_heatmaps_in_half_precision_are_no_zeros() -> None:
    """As other exporters than danet's write them; such a file's quantization has a scale of 0."""

    class Interpreter:
        def get_input_details(self) -> list[dict[str, Any]]:
            return [{"index": 0}]

        def get_output_details(self) -> list[dict[str, Any]]:
            return [{"index": 1, "quantization": (0.0, 0)}]

        def set_tensor(self, index: int, images: NDArray[np.uint8]) -> None: ...

        def invoke(self) -> None: ...

        def get_tensor(self, index: int) -> NDArray[np.float16]:
            return np.full((1, 4, 3, 17), 0.5, np.float16)

    found = _infer(Interpreter(), np.zeros((1, 16, 12, 3), np.uint8))
    assert (found.dtype, found.shape, found.min()) == (np.float32, (1, 17, 4, 3), 0.5)


def test_crops_of_another_type(tiny_tflite: Path) -> None:
    with pytest.raises(BackendError, match="float32"):
        open_tflite(tiny_tflite).run(np.zeros((1, 128, 96, 3), np.float32))  # type: ignore[arg-type]


@pytest.mark.parametrize("options", [BackendOptions(device="GPU"), BackendOptions(precision="bf16")])
def test_options_that_it_cannot_honour(options: BackendOptions, tiny_tflite: Path) -> None:
    with pytest.raises(BackendError, match=r"tflite: .*expected '(CPU|fp32)'"):
        load_model(tiny_tflite, None, options)


def test_delegate_that_is_not_there(tiny_tflite: Path) -> None:
    with pytest.raises(BackendError, match=r"tflite: delegate libnowhere\.so"):
        open_tflite(tiny_tflite, delegates=[Delegate("libnowhere.so", {"device": "usb:0"})])


def test_backend_made_by_the_caller(tiny_tflite: Path) -> None:
    backend = open_tflite(tiny_tflite, threads=1)
    frame = np.random.default_rng(1).integers(0, 256, (90, 80, 3), np.uint8)
    with PoseEstimator(tiny_tflite, backend=backend, spec=backend.spec) as given, PoseEstimator(tiny_tflite) as plain:
        boxes = [[1, 2, 50, 80], [3, 4, 60, 70], [0, 0, 80, 90]]
        np.testing.assert_array_equal(given.infer(frame, boxes).keypoints, plain.infer(frame, boxes).keypoints)


@pytest.mark.parametrize("share", [0.0, 0.001, 0.3, 0.9, 0.999])
def test_cut_file(share: float, tiny_tflite: Path, tmp_path: Path) -> None:
    content = tiny_tflite.read_bytes()
    (tmp_path / "cut.tflite").write_bytes(content[: int(share * len(content))])
    with pytest.raises(ModelFileError, match=r"cut\.tflite: (not a TFLite file|damaged)"):
        load_model(tmp_path / "cut.tflite", None, BackendOptions())


def test_file_whose_spec_is_wrong(tiny_tflite: Path, tiny_spec: ModelSpec, tmp_path: Path) -> None:
    content = with_spec(tiny_tflite.read_bytes(), tiny_spec)
    changed = content.replace(b'"name":"tiny"', b'"name":12345.')  # the archive's checksum tells
    (tmp_path / "changed.tflite").write_bytes(changed)
    with pytest.raises(ModelSpecError, match=r"changed\.tflite"):
        load_model(tmp_path / "changed.tflite", None, BackendOptions())


def test_without_an_interpreter(tiny_tflite: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, BACKENDS["tflite"], raising=False)
    for name in ("ai_edge_litert", "tflite_runtime"):
        monkeypatch.delitem(sys.modules, f"{name}.interpreter", raising=False)
        monkeypatch.setitem(sys.modules, name, None)  # as Python records a failed import
    with pytest.raises(MissingExtraError, match=r"the tflite backend needs ai-edge-litert.*danet-edge\[tflite\]"):
        load_model(tiny_tflite, None, BackendOptions())


OLD_RUNTIME = """
import sys
import numpy as np
from danet import PoseEstimator

assert np.__version__.startswith("1."), np.__version__
frame, boxes = np.load(sys.argv[2]), np.load(sys.argv[3])
with PoseEstimator(sys.argv[1], threads=2) as estimator:
    poses = estimator.infer(frame, boxes)
assert "tflite_runtime" in sys.modules and "ai_edge_litert" not in sys.modules and "openvino" not in sys.modules
np.save(sys.argv[4], np.concatenate((poses.keypoints, poses.scores[..., None]), 2))
"""


def test_tflite_runtime(tiny_tflite: Path, tmp_path: Path) -> None:
    python = os.environ.get(OLD_PYTHON)
    if not python:
        pytest.skip(f"{OLD_PYTHON} does not name the python of a venv with tflite-runtime 2.14")
    rng = np.random.default_rng(2)
    frame = rng.integers(0, 256, (120, 160, 3), np.uint8)
    boxes = np.array([[1, 2, 90, 110], [30, 4, 150, 118], [0, 0, 160, 120], [20, 20, 60, 100], [50, 5, 99, 95.0]])
    np.save(tmp_path / "frame.npy", frame)
    np.save(tmp_path / "boxes.npy", boxes)
    sdk = Path(__file__).parents[3] / "sdk"
    files = [str(tmp_path / name) for name in ("frame.npy", "boxes.npy", "poses.npy")]
    subprocess.run(
        [python, "-c", OLD_RUNTIME, str(tiny_tflite), *files],
        check=True,
        timeout=120,
        env={**os.environ, "PYTHONPATH": str(sdk)},
    )
    with PoseEstimator(tiny_tflite) as estimator:
        poses = estimator.infer(frame, boxes)
    found = np.load(files[2])
    np.testing.assert_allclose(found[..., :2], poses.keypoints, atol=0.1)
    np.testing.assert_allclose(found[..., 2], poses.scores, atol=1e-4)
