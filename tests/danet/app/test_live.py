from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from danet.app import live
from danet.app.engines import Engines
from danet.app.live import LiveSession
from danet.detectors.base import CallableDetector
from danet.embedded import PORTRAIT_BOX
from danet.frame import read_picture


def test_persons_keep_their_ids_and_the_detector_runs_now_and_then(engines: Engines, portrait: Path) -> None:
    runs = []

    def find(frame: np.ndarray) -> list[tuple[float, ...]]:
        runs.append(frame.shape)
        return [PORTRAIT_BOX]

    picture, session = read_picture(portrait), LiveSession(("danet72", "openvino", "mine"))
    with engines.estimator("danet72", "openvino") as estimator:
        assert session.fps == 0
        found = [session.step(picture, estimator, CallableDetector(find)) for _ in range(6)]
    assert [list(poses.ids) for poses in found[2:] if poses.ids is not None] == [[1]] * 4
    assert 1 <= len(runs) < 6
    assert session.fps > 0


def test_pictures_of_one_moment(engines: Engines, portrait: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The clock of some systems stands still for 16 ms."""
    monkeypatch.setattr(live, "time", SimpleNamespace(monotonic=lambda: 7.0))
    picture, session = read_picture(portrait), LiveSession(("danet72",))
    with engines.estimator("danet72", "openvino") as estimator:
        found = [session.step(picture, estimator, CallableDetector(lambda _: [PORTRAIT_BOX])) for _ in range(3)]
    assert [len(poses) for poses in found[1:]] == [1, 1]


def test_after_a_pause_the_detector_looks_who_is_there(
    engines: Engines, portrait: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr(live, "time", SimpleNamespace(monotonic=lambda: clock.now))
    picture, session, counts = read_picture(portrait), LiveSession(("danet72",)), []
    with engines.estimator("danet72", "openvino") as estimator:
        for now in (0.0, 0.1, 0.2, 10.0, 10.1):
            clock.now = now
            counts.append(len(session.step(picture, estimator, CallableDetector(lambda _: [PORTRAIT_BOX]))))
    assert counts == [0, 1, 1, 0, 1]


def test_without_a_detector_the_whole_picture_is_one_person(engines: Engines, portrait: Path) -> None:
    picture = read_picture(portrait)
    with engines.estimator("danet72", "openvino") as estimator:
        poses = LiveSession(("danet72",)).step(picture, estimator, None)
        np.testing.assert_array_equal(poses.keypoints, estimator.infer(picture).keypoints)
    assert poses.ids is None
