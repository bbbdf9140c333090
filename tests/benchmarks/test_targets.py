from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from danet.estimator import PoseEstimator
from danet.scenes.scene import Scene
from danet_benchmarks.scenes import render_scenes
from danet_benchmarks.targets.__main__ import _markdown, main
from danet_benchmarks.targets.measure import Start, Starts, Timed, bounds, measure_starts, persons_to_a_call
from danet_benchmarks.targets.promises import promises

pytestmark = pytest.mark.needs("onnxruntime", "psutil")


def timed(**seconds: float) -> Timed:
    """Two rounds of two calls, all alike; a second where nothing is said."""
    names = persons_to_a_call()
    known = {name: seconds.get(name.replace(", ", "_").replace(" ", "_"), 1.0) for name in names}
    return Timed({name: ((value, value), (value, value)) for name, value in known.items()}, 0.0, 0.1)


def starts(above: float = 150.0, first: float = 1.0, grown: float = 0.0) -> Starts:
    one = Start(0.1, first, above, ((10, above), (100, above)))
    long = Start(0.1, first, above, tuple((100 * part, above + grown * part / 20) for part in range(1, 21)))
    return Starts(4.0, (one, one, one), one, long)


def values(timed_: Timed, starts_: Starts) -> dict[str, tuple[float, bool]]:
    return {one.text: (one.value, one.kept) for one in promises(timed_, starts_, 2)}


def test_ratios_by_hand() -> None:
    found = values(
        timed(
            int8=0.1,
            int8_network_alone=0.095,
            int8_10_persons=0.13,
            int8_1_person=0.012,
            fp32=0.25,
            onnxruntime_by_hand=0.31,
            onnxruntime_by_hand_1_person=0.02,
            int8_one_thread=0.16,
            int8_two_estimators_of_one_thread=0.25,
        ),
        starts(),
    )
    assert found["end to end : network alone, INT8, 8 persons"] == (pytest.approx(0.95), True)
    assert found["INT8 : ONNX Runtime FP32 by hand, 8 persons"] == (pytest.approx(3.1), True)
    assert found["INT8 : OpenVINO FP32, 8 persons"] == (pytest.approx(2.5), True)
    assert found["p50 of one person, INT8 : ONNX Runtime FP32 by hand"] == (pytest.approx(0.6), False)
    # 10 persons in 0.13 s against 8 in 0.1
    assert found["persons per second, 10 persons : 8 persons"] == (pytest.approx(76.92 / 80, abs=1e-3), True)
    assert found["one thread : two threads"] == (pytest.approx(0.625), True)
    # 16 persons in 0.25 s against 8 in 0.1
    assert found["two estimators of one thread, together : one of two"] == (pytest.approx(0.8), False)


def test_starts_by_hand() -> None:
    found = values(timed(), starts(above=230.0, first=1.4, grown=20.0))
    assert found["MiB above NumPy and OpenCV, one person"] == (230.0, False)
    assert found["first result, s"] == (1.4, True)
    assert found["MiB grown"] == (pytest.approx(18.0), False)  # from the second of twenty parts on


def test_one_thread_is_compared_with_two_alone() -> None:
    assert [one.number for one in promises(timed(), starts(), 4)].count("4") == 1
    assert [one.number for one in promises(timed(), starts(), 2)].count("4") == 3


def test_tails_count_over_all_rounds() -> None:
    slow = timed()
    rounds = dict(slow.rounds)
    rounds["int8, 1 person"] = ((1.0,) * 90, (1.0,) * 5 + (2.0,) * 5)
    found = values(Timed(rounds, 0.0, 0.0), starts())
    assert found["p99 : p50 of one person, INT8, quiet machine"] == (pytest.approx(2.0), False)


def test_the_tail_is_that_of_quiet_rounds_where_there_are_enough() -> None:
    rounds = {name: ((1.0, 1.0),) * 8 for name in persons_to_a_call()}
    rounds["int8, 1 person"] = ((1.0,) * 50,) * 5 + ((1.0,) * 25 + (3.0,) * 25,) * 3
    busy_end = (0.1, 0.105) * 4 + (0.109, 0.1) + (0.2, 0.1) * 3  # around each round; five were quiet
    found = values(Timed(rounds, 0.0, 0.0, busy_end), starts())
    assert found["p99 : p50 of one person, INT8, quiet machine"] == (pytest.approx(1.0), True)
    busier = (0.1, 0.105) * 4 + (0.1, 0.12) * 4  # four, too few: all count
    found = values(Timed(rounds, 0.0, 0.0, busier), starts())
    assert found["p99 : p50 of one person, INT8, quiet machine"] == (pytest.approx(3.0), False)


@pytest.mark.parametrize(("rounds", "said"), [(5, "lowest and highest round"), (6, "bounds of the median, 95 %")])
def test_few_rounds_bound_no_median(rounds: int, said: str) -> None:
    some = Timed({name: ((1.0,),) * rounds for name in persons_to_a_call()}, 0.0, 0.1)
    assert f"| {said} |" in _markdown(promises(some, starts(), 2), some, "", "CPU", (), 2, "2026-11-28")


@pytest.mark.parametrize("option", ["--rounds", "--threads", "--frames"])
def test_nothing_to_measure_is_wrong_use(option: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["--int8", "a.xml", "--fp32", "b.xml", "--onnx", "c.onnx", "--out", "out", option, "0"])
    assert f"argument {option}: '0', expected a whole number above 0" in capsys.readouterr().err


def test_bounds_hold_the_median() -> None:
    value, low, high = bounds(np.array([1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0]))
    assert (value, low, high) == (4.0, 1.0, 7.0)


@pytest.mark.parametrize("refinement", ["offset", "dark"])
def test_the_app_by_hand_finds_the_same_keypoints(refinement: Any, tiny_onnx: Path, scene: Scene) -> None:
    """Else the comparison would be with another job."""
    from danet_benchmarks.targets.naive import NaivePose

    with PoseEstimator(tiny_onnx, decoder=refinement) as estimator:
        expected = estimator.infer(scene.image, scene.boxes)
    app = NaivePose(tiny_onnx, 1)
    app.spec = app.spec.decoded_by(refinement)
    found = app.infer(scene.image, scene.boxes)
    assert np.median(np.abs(found[:, :, :2] - expected.keypoints)) < 0.01
    # random weights give maps whose cells nearly tie
    assert np.mean(np.linalg.norm(found[:, :, :2] - expected.keypoints, axis=2) > 1) < 0.1
    assert np.abs(found[:, :, 2] - expected.scores).max() < 1e-3


@pytest.mark.long
def test_a_start_is_measured_from_the_process(tiny_ir: Path) -> None:
    found = measure_starts(tiny_ir, 1, 40, lambda _: None)
    for one in (*found.warm, found.crowd, found.long):
        assert 0 < one.import_s < one.first_result_s
        assert one.above_mib > 0
    assert found.long.memory[-1][0] == 40


@pytest.mark.slow
def test_the_whole_program(tiny_ir: Path, tiny_onnx: Path, tmp_path: Path) -> None:
    models = ("--int8", str(tiny_ir), "--fp32", str(tiny_ir), "--onnx", str(tiny_onnx))
    assert main([*models, "--rounds", "2", "--seconds", "0.02", "--frames", "40", "--out", str(tmp_path)]) == 0
    content = json.loads((tmp_path / "targets.json").read_text())
    assert len(content["promises"]) == 14
    assert content["machine"]["cpu"]
    text = (tmp_path / "targets.md").read_text()
    assert text.count("\n| 4 |") == 3


def test_scenes_of_all_measures_are_rendered() -> None:
    assert {one.persons for one in render_scenes((1, 8, 10), 1, (72, 128))} == {1, 8, 10}
