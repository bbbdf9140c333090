from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from danet.embedded import embedded_model
from danet.model_files import model_sha256
from danet.tuning import contenders, saved, search
from danet.tuning.record import LoadFigure, PrecisionFigure, Tuning
from danet.tuning.results import Outcome, Row
from danet.tuning.settings import Settings
from danet.tuning.situation import read_situation

Danet = Callable[..., Any]
CHOICE = Settings(threads=1, batch_size=4)


@pytest.fixture(autouse=True)
def _no_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def model(tiny_ir: Path, tmp_path: Path) -> Path:
    """A copy of the small IR in a folder of its own."""
    for part in (tiny_ir, tiny_ir.with_suffix(".bin")):
        (tmp_path / part.name).write_bytes(part.read_bytes())
    return tmp_path / tiny_ir.name


@pytest.fixture
def plans(monkeypatch: pytest.MonkeyPatch) -> list[search.Plan]:
    """The plans of searches that find `CHOICE` at once."""
    made: list[search.Plan] = []

    class Found:
        def __init__(self, path: Path, backend: str | None, plan: search.Plan, watch: search.Watch) -> None:
            made.append(plan)
            self.path, self.plan = path, plan
            watch.stage("looking")
            watch.spent(1.5)

        def run(self) -> Outcome:
            loads = [LoadFigure(use, persons, 9.0, 6.0) for use in ("infer", "stream") for persons in self.plan.persons]
            precisions = (PrecisionFigure("fp32", 1.0, 0.0, True), PrecisionFigure("bf16", 1.7, 0.25, False))
            tuning = Tuning(
                read_situation("openvino"),
                model_sha256(self.path),
                CHOICE,
                "fp32",
                precisions,
                tuple(loads),
                "2026-11-24T12:00:00+00:00",
            )
            times = tuple(10.0 * persons for persons in self.plan.persons)
            row = Row(
                "infer: made up", Settings(), "fp32", times, (0.1,) * len(times), 1.0, (1.0, 1.0), 6, False, 0.0, False
            )
            faster = replace(row, settings=CHOICE, speed=1.5, speed_bounds=(1.4, 1.61), chosen=True)
            return Outcome(tuning, (row, faster))

    monkeypatch.setattr(search, "Search", Found)
    return made


def test_prints_the_table_and_keeps_nothing(danet: Danet, model: Path, plans: list[search.Plan]) -> None:
    outcome = danet("tune", model)
    assert (outcome.status, outcome.out) == (0, "")
    words = " ".join(outcome.err.split())
    for expected in (
        "infer: made up",
        "all 8 10.0 ms 80.0 ms 10% 1.00 1.00..1.00 6",
        "* 1 4 10.0 ms 80.0 ms 10% 1.50 1.40..1.61 6",
        "bf16 moves 25.0% of the keypoints by more than a heatmap cell, over 1.0%: not chosen",
        "stream, 8 persons to a frame: 9.0 ms by default, 6.0 ms tuned",
        "choice: fp32; default precision, 1 thread, batches of 4",
    ):
        assert expected in words
    assert plans == [search.Plan((1, 8), 60.0)]
    assert "tuning.json" not in outcome.err
    assert not saved.beside(model).exists()


def test_options_reach_the_search(danet: Danet, model: Path, plans: list[search.Plan]) -> None:
    arguments = ("--persons", 4, 2, 4, "--threads", 2, 1, "--seconds", 5, "--max-moved", 0.5)
    assert danet("tune", model, *arguments).status == 0
    assert plans == [search.Plan((2, 4), 5.0, (2, 1), 0.5)]


def test_embedded_model_of_another_backend(danet: Danet, plans: list[search.Plan]) -> None:
    content = json.loads(danet("tune", "danet72", "--backend", "tflite", "--json", "-").out)
    tflite = embedded_model("danet72", "tflite")
    assert tflite is not None
    assert content["model_sha256"] == model_sha256(tflite)


def test_kept_where_info_and_the_estimator_find_it(danet: Danet, model: Path, plans: list[search.Plan]) -> None:
    outcome = danet("tune", model, "--save", "--json", "-")
    content = json.loads(outcome.out)
    place = saved.beside(model)
    assert content["saved"] == str(place)
    assert content["settings"] == {
        "precision": None,
        "threads": 1,
        "batch_size": 4,
        "streams": 1,
        "stream_batch_size": None,
        "shares": None,
    }
    assert [row["chosen"] for row in content["rows"]] == [False, True]
    assert f"kept in {place}" in outcome.err
    told = json.loads(danet("info", model, "--json", "-").out)
    assert told["settings"] == "default precision, 1 thread, batches of 4"
    assert told["tuning"] == f"from {place}"
    assert told["fastest_precision"] == ("fp32 (relative speeds: fp32 1.00, bf16 1.70 (moves 25.0% of the keypoints))")


def test_the_report_is_not_written_over_the_choice(danet: Danet, model: Path, plans: list[search.Plan]) -> None:
    place = saved.beside(model)
    told = danet("tune", model, "--save", "--json", place).error()
    assert "--save keeps the choice there" in told
    assert not place.exists()
    assert plans == []


def test_no_place_is_told_before_the_search(
    danet: Danet, plans: list[search.Plan], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DANET_CACHE_DIR", "")
    assert "no place to keep a tuning" in danet("tune", "danet72", "--save").error()
    assert plans == []
    assert danet("tune", "danet72").status == 0


def test_what_was_measured_is_told_though_it_cannot_be_kept(
    danet: Danet, model: Path, plans: list[search.Plan], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> Any:
        raise PermissionError(13, "Permission denied", "somewhere")

    monkeypatch.setattr(saved, "save_tuning", refuse)
    outcome = danet("tune", model, "--save", "--json", model.with_name("out.json"))
    assert outcome.status == 1
    assert outcome.err.splitlines()[-1] == "danet: error: somewhere: Permission denied"
    assert "choice: fp32" in outcome.err
    assert json.loads(model.with_name("out.json").read_text())["saved"] is None


def test_info_says_why_one_is_not_used(danet: Danet, model: Path) -> None:
    assert "danet tune" in json.loads(danet("info", model, "--json", "-").out)["tuning"]
    saved.beside(model).write_text("{")
    told = json.loads(danet("info", model, "--json", "-").out)
    assert "is not used: tuning: not JSON" in told["tuning"]
    assert "fastest_precision" not in told
    assert "is not used" in " ".join(danet("info", model).err.split())


@pytest.mark.parametrize(
    "arguments",
    [
        ("--persons", 0),
        ("--persons", "x"),
        ("--persons",),
        ("--persons", 501),
        ("--threads", 0),
        ("--threads", 4097),
        ("--seconds", "-1"),
        ("--seconds", "nan"),
        ("--max-moved", "inf"),
    ],
)
def test_wrong_use(danet: Danet, model: Path, arguments: tuple[object, ...]) -> None:
    outcome = danet("tune", model, *arguments)
    assert (outcome.status, outcome.out) == (2, "")
    assert "usage: danet tune" in outcome.err


@pytest.mark.parametrize("name", ["nothing", "nothing.xml", "nothing.txt"])
def test_missing_model(danet: Danet, name: str) -> None:
    assert "nothing" in danet("tune", name).error()


def test_checkpoint(danet: Danet, tiny_checkpoint: Path) -> None:
    assert "danet convert" in danet("tune", tiny_checkpoint).error()


@pytest.mark.needs("onnxruntime")
def test_a_real_search(danet: Danet, tiny_onnx: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contenders, "TIMING_S", 0.0)
    monkeypatch.setattr(contenders, "FRAME_SIZE", (120, 160))
    outcome = danet("tune", tiny_onnx, "--persons", 1, "--seconds", 0, "--json", "-")
    assert (outcome.status, outcome.err) == (0, "")
    content = json.loads(outcome.out)
    assert (content["situation"]["backend"], content["precision"]) == ("onnxruntime", "fp32")
    assert {row["settings"]["streams"] for row in content["rows"]} == {1}  # ONNX Runtime has none
    assert content["saved"] is None


def test_a_backend_that_is_not_measured(danet: Danet) -> None:
    done = danet("tune", "danet72", "--backend", "null")
    assert done.status == 2
    assert "expected one of openvino, onnxruntime, tflite" in done.err
