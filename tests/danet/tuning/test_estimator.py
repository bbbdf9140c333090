from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from danet.backends import openvino_backend
from danet.errors import BackendError, ModelFileError
from danet.estimator import PoseEstimator
from danet.scenes.scene import Scene
from danet.tuning.record import Tuning
from danet.tuning.saved import beside, save_tuning
from danet.tuning.settings import Settings

TuningOf = Callable[..., Tuning]


@pytest.fixture
def tuned(model: Path, tuning_of: TuningOf) -> Tuning:
    """The tuning that is kept beside the model: 1 thread, batches of 4; stream: 2 calls, batches of 1."""
    tuning = tuning_of(model)
    save_tuning(tuning, model)
    return tuning


def test_a_kept_tuning_is_used(model: Path, tuned: Tuning) -> None:
    with PoseEstimator(model) as estimator:
        assert estimator.settings == tuned.settings
        assert estimator.tuning.tuning == tuned
        assert str(beside(model)) in estimator.tuning.note
        assert cv2.getNumThreads() == 1


def test_without_one_the_defaults(model: Path) -> None:
    with PoseEstimator(model) as estimator:
        assert estimator.settings == Settings()
        assert estimator.tuning.note.startswith("none")


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({"batch_size": 2}, Settings(threads=1, batch_size=2, streams=2)),
        ({"precision": "fp32"}, Settings("fp32", 1, 4, 2, 1)),
        ({"threads": 1}, Settings(None, 1, 4, 2, 1)),
        ({"threads": 2}, Settings(threads=2, batch_size=4)),  # so many streams were measured on one thread
        ({"settings": Settings()}, Settings()),
        ({"settings": Settings(batch_size=16), "threads": 2}, Settings(threads=2, batch_size=16)),
        ({"settings": Settings(streams=2, threads=1), "threads": 2}, Settings(threads=2, streams=2)),
        pytest.param({"backend": "onnxruntime"}, None, marks=pytest.mark.needs("onnxruntime")),
    ],
)
def test_explicit_arguments_go_before_it(
    model: Path, tuned: Tuning, arguments: dict[str, Any], expected: Settings | None
) -> None:
    if expected is None:  # measured in another backend: not even looked at
        with pytest.raises(ModelFileError, match=r"tiny\.xml: .*by the openvino backend, not by onnxruntime"):
            PoseEstimator(model, **arguments)
        return
    with PoseEstimator(model, **arguments) as estimator:
        assert estimator.settings == expected


def test_a_damaged_one_does_not_stop_an_app(model: Path, scene: Scene) -> None:
    beside(model).write_text("{")
    with PoseEstimator(model) as estimator:
        assert "is not used" in estimator.tuning.note
        assert len(estimator.infer(scene.image, scene.boxes)) == 3


def test_one_that_the_backend_refuses_does_not_stop_an_app(model: Path, tuning_of: TuningOf) -> None:
    save_tuning(tuning_of(model, Settings("int8")), model)  # no arithmetic to ask for at run time
    with PoseEstimator(model) as estimator:
        assert (estimator.settings, estimator.tuning.tuning) == (Settings(), None)
        assert "is not used: openvino: precision 'int8'" in estimator.tuning.note
    with pytest.raises(BackendError, match="'int8'"):  # but what the caller asks for is refused
        PoseEstimator(model, precision="int8")


def test_a_backend_object_has_no_tuning(model: Path, tuned: Tuning) -> None:
    class Zeros:
        def run(self, images: Any) -> Any:
            return np.zeros((len(images), 17, 32, 24), np.float32)

        def close(self) -> None:
            """Nothing to free."""

    with PoseEstimator(model) as estimator:
        spec = estimator.spec
    with PoseEstimator(model, backend=Zeros(), spec=spec) as estimator:
        assert estimator.settings == Settings()
    with pytest.raises(BackendError, match="streams 2, but the backend works on 1 call at a time"):
        PoseEstimator(model, backend=Zeros(), spec=spec, settings=Settings(streams=2))


def test_streams_give_the_same_poses_in_order(model: Path, scene: Scene) -> None:
    frames = [(scene.image, scene.boxes[: 1 + index % 3]) for index in range(7)]
    with PoseEstimator(model, settings=Settings()) as plain:
        expected = [plain.infer(*frame) for frame in frames]
    with PoseEstimator(model, settings=Settings(threads=2, streams=2, stream_batch_size=1)) as estimator:
        for poses, reference in zip(estimator.stream(frames), expected, strict=True):
            assert np.abs(poses.keypoints - reference.keypoints).max() < 0.01
            assert np.abs(poses.scores - reference.scores).max() < 1e-4


def test_streams_really_run_side_by_side(model: Path, scene: Scene) -> None:
    with PoseEstimator(model, settings=Settings(threads=2, streams=2)) as estimator:
        opened = estimator._opened
        assert opened is not None
        streaming, single = opened.streaming.backend, opened.single.backend
        assert isinstance(streaming, openvino_backend.OpenVinoBackend)
        assert isinstance(single, openvino_backend.OpenVinoBackend)
        list(estimator.stream([(scene.image, scene.boxes[:1])] * 2))
        estimator.infer(scene.image, scene.boxes[:1])
        # what OpenVINO itself says of what it compiled
        for backend, streams in ((streaming, 2), (single, 1)):
            assert backend._pools._pools is not None
            (pool,) = backend._pools._pools.values()
            assert len(pool._free) == streams + openvino_backend.WAITING_REQUESTS
            assert pool._free[0].get_compiled_model().get_property("NUM_STREAMS") == streams


def test_closing_closes_both(model: Path, scene: Scene) -> None:
    estimator = PoseEstimator(model, settings=Settings(threads=2, streams=2))
    stream = estimator.stream((scene.image, scene.boxes) for _ in range(9))
    next(stream)
    estimator.close()
    with pytest.raises(BackendError, match="closed"):
        list(stream)
    with pytest.raises(BackendError, match="closed"):
        estimator.infer(scene.image, scene.boxes)
    estimator.close()


def test_lookahead_grows_with_the_streams(model: Path, scene: Scene) -> None:
    read = 0

    def source() -> Any:
        nonlocal read
        for _ in range(8):
            read += 1
            yield scene.image, scene.boxes[:1]

    with PoseEstimator(model, settings=Settings(threads=2, streams=2)) as estimator:
        for given, _ in enumerate(estimator.stream(source())):
            assert read <= given + 3
    assert read == 8


def test_settings_of_a_file_with_a_fixed_batch(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from danet import opened_model

    real = opened_model.load_model
    monkeypatch.setattr(opened_model, "load_model", lambda *given: replace(real(*given), batch_sizes=(4,)))
    with PoseEstimator(model, settings=Settings(batch_size=8, stream_batch_size=1)) as estimator:
        assert estimator.settings == Settings(batch_size=4)
    monkeypatch.setattr(opened_model, "load_model", lambda *given: replace(real(*given), batch_sizes=(512,)))
    with pytest.raises(ModelFileError, match="made for batches of 512, expected 256 at most"):
        PoseEstimator(model)
