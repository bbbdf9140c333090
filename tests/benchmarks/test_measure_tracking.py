from __future__ import annotations

import numpy as np
import pytest

from danet.estimator import PoseEstimator
from danet.scenes.clip import Clip, render_clip
from danet.tracking.tracker import TrackerSettings
from danet_benchmarks.measure_tracking import Followed, Row, _paths, _print, follow, main, steadiness
from danet_evaluation.tracking import TrackingFigures, tracking_figures

FPS = 25.0


@pytest.fixture(scope="module")
def clip() -> Clip:
    return render_clip(2, size=(240, 320), persons=2, seconds=3.0, fps=FPS, script="walk")


def late(clip: Clip, lag_s: float, noise: float) -> Followed:
    """A tracker that smooths by being late, and finds everything with noise of so many pixels."""
    random, found = np.random.default_rng(0), Followed()
    for index in range(10, 70):
        now, then = clip.keypoints(index / FPS), clip.keypoints(index / FPS - lag_s)
        for person in now:
            plain = (now[person] + random.normal(0, noise, (17, 2))).astype(np.float32)
            seen = (index / FPS, person, plain, then[person].astype(np.float32))
            found.tracks.setdefault(10 + person, []).append(seen)
    return found


@pytest.mark.parametrize("lag_s", [0.0, 0.05, 0.12])
def test_lag_and_jitter_are_those_put_in(clip: Clip, lag_s: float) -> None:
    steady = steadiness([clip], [late(clip, lag_s, 2.0)])
    assert steady is not None
    plain, smooth, truth = steady
    assert smooth.lag_s == pytest.approx(lag_s, abs=0.006)
    assert plain.lag_s == pytest.approx(0.0, abs=0.011)
    # the second difference of noise has sqrt(1 + 4 + 1) times its deviation
    assert plain.jitter == pytest.approx(np.hypot(2.0 * np.sqrt(6), truth), rel=0.05)
    assert smooth.jitter == pytest.approx(truth, rel=0.1)
    assert plain.error == pytest.approx(2.0 * np.sqrt(np.pi / 2), rel=0.05)  # of a Rayleigh distribution


def test_nobody_who_was_followed_costs_no_figures(clip: Clip, capsys: pytest.CaptureFixture[str]) -> None:
    steady = steadiness([clip], [Followed()])
    assert steady is None
    figures = TrackingFigures(mota=0.5, idf1=0.6, id_switches=0, misses=4, false_positives=1, persons=9, ids=2)
    _print([Row("walk", figures, figures, 3, 9)], steady)
    said = capsys.readouterr().out
    assert "3/9" in said
    assert "nobody was followed for 25 frames in a row" in said


def test_the_path_between_frames_is_the_truth(clip: Clip) -> None:
    paths = _paths(clip, 0.5 / FPS)
    for time in (0.51, 1.234, 2.02):
        for person, points in clip.keypoints(time).items():
            np.testing.assert_allclose(paths[person](time), points, atol=0.2)


@pytest.mark.long
def test_crossing_persons_by_the_real_model() -> None:
    """Two persons pass each other, one behind the other; the embedded model finds their poses."""
    clip = render_clip(1, size=(240, 426), persons=2, seconds=7.0, fps=8.0, script="cross")
    with PoseEstimator("danet72") as estimator:
        found = follow(clip, estimator, None, TrackerSettings(detect_every=5))
    figures = tracking_figures([found.boxes])
    assert figures.id_switches == 0
    assert figures.mota > 0.8
    assert figures.idf1 > 0.85
    assert found.detections < 0.6 * len(clip)


@pytest.mark.slow
def test_program(capsys: pytest.CaptureFixture[str]) -> None:
    main(["danet72", "--scripts", "walk", "--seeds", "1", "--seconds", "4", "--persons", "2", "--detect-every", "10"])
    said = capsys.readouterr().out
    assert "walk, every 10" in said
    assert "smoothed" in said
