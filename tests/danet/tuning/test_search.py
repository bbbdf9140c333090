from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from danet.batching import batch_sizes, plan_batches
from danet.cpu import Cpu
from danet.errors import BackendError, InputError, ModelFileError
from danet.model_spec import ModelSpec
from danet.tuning import contenders, search
from danet.tuning.contenders import Load, infer_seconds
from danet.tuning.rounds import Seconds
from danet.tuning.search import Plan, Search
from danet.tuning.settings import Settings


class Quiet:
    """Looks on and keeps what it is told."""

    def __init__(self) -> None:
        self.stages: list[str] = []
        self.seconds = 0.0

    def stage(self, name: str) -> None:
        self.stages.append(name)

    def spent(self, seconds: float) -> None:
        assert seconds >= 0
        self.seconds += seconds


class Machine:
    """A machine whose times follow a formula, in the place of estimators and of their timing."""

    def __init__(self, cores: int = 4, precisions: Sequence[str] = ("bf16",), most_streams: int = 64) -> None:
        self.cores = cores
        self.offered = precisions
        self.most_streams = most_streams
        self.moved = 0.002
        self.speeds = {None: 1.0, "bf16": 1.6, "fp16": 1.1}
        self.fixed: int | None = None
        self.call_ms, self.person_ms = 2.0, 8.0
        self.large_batch_ms = 0.0
        self.streams_gain = 1.0
        self.drift = np.random.default_rng(0)

    def network_ms(self, persons: int, batch: int) -> float:
        sizes = (self.fixed,) if self.fixed else batch_sizes(batch)
        calls = plan_batches(persons, sizes)
        return sum(self.call_ms + size * (self.person_ms + self.large_batch_ms * (size > 2)) for size, _ in calls)

    def seconds(self, settings: Settings, persons: int, streaming: bool) -> float:
        batch = settings.largest_stream_batch if streaming else settings.batch_size
        threads = min(settings.threads or self.cores, self.cores)
        rate = self.speeds[settings.precision] * threads**0.7
        if streaming and settings.streams > 1:
            rate *= self.streams_gain
        return self.network_ms(persons, batch) / rate / 1e3 * float(self.drift.uniform(0.99, 1.01))


class Estimator:
    """What the search asks of a PoseEstimator."""

    spec = ModelSpec(name="made up")

    def __init__(self, machine: Machine, settings: Settings) -> None:
        if settings.precision not in (None, *machine.offered):
            raise BackendError(f"no {settings.precision}")
        if settings.streams > machine.most_streams:
            raise BackendError("no streams")
        fixed = machine.fixed
        self.settings = replace(settings, batch_size=fixed, stream_batch_size=None) if fixed else settings
        self.precision = settings.precision or "fp32"

    def __enter__(self) -> Estimator:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing to free."""


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    made = Machine()

    class FormulaTiming:
        def __init__(self, estimator: Estimator, uses: Sequence[Any], loads: Sequence[Load], cores: int) -> None:
            self.cases = [(use is not infer_seconds, load.persons) for use in uses for load in loads]
            self.settings = estimator.settings
            assert cores == made.cores

        def time(self) -> Seconds:
            return tuple(made.seconds(self.settings, persons, streaming) for streaming, persons in self.cases)

    def keypoints(estimator: Estimator, _: Any) -> Any:
        found = np.zeros((1000, 17, 2), np.float32)
        if estimator.precision == "bf16":
            found[: round(1000 * made.moved)] = 50
        return found

    class Visible:
        visible = np.ones((1000, 17), bool)

    monkeypatch.setattr(search, "read_cpu", lambda: Cpu("made up", made.cores, ()))
    monkeypatch.setattr(search, "PoseEstimator", lambda *_, settings, **__: Estimator(made, settings))
    monkeypatch.setattr(search, "Timing", FormulaTiming)
    monkeypatch.setattr(search, "render_load", lambda persons: Load(persons, ()))
    monkeypatch.setattr(search, "render_sample", lambda _: Visible())
    monkeypatch.setattr(search, "find_keypoints", keypoints)
    return made


Run = Callable[..., Any]


@pytest.fixture
def run(model: Path) -> Run:
    def start(watch: Quiet | None = None, **plan: Any) -> Any:
        return Search(model, None, Plan(**{"seconds": 0.0, **plan}), watch or Quiet()).run()

    return start


def test_faster_arithmetic_that_moves_few_keypoints_is_chosen(machine: Machine, run: Run) -> None:
    tuning = run().tuning
    assert (tuning.settings.precision, tuning.precision) == ("bf16", "bf16")
    assert [(one.precision, one.admitted) for one in tuning.precisions] == [("fp32", True), ("bf16", True)]
    assert tuning.precisions[1].speed == pytest.approx(1.6, rel=0.02)
    assert tuning.precisions[1].moved == 0.002


def test_faster_arithmetic_that_moves_many_is_shown_and_not_chosen(machine: Machine, run: Run) -> None:
    machine.moved = 0.05
    tuning = run().tuning
    assert tuning.settings.precision is None
    assert [(one.precision, one.admitted) for one in tuning.precisions] == [("fp32", True), ("bf16", False)]
    assert tuning.precisions[1].speed == pytest.approx(1.6, rel=0.02)
    assert run(most_moved=0.05).tuning.settings.precision == "bf16"


def test_where_nothing_is_faster_the_defaults_stay(machine: Machine, run: Run) -> None:
    machine.offered = ()
    machine.large_batch_ms = 0.01
    outcome = run()
    assert outcome.tuning.settings == Settings()
    assert [one.precision for one in outcome.tuning.precisions] == ["fp32"]
    check = [row for row in outcome.rows if row.stage == search.CHECK.name]
    assert len(check) == 1
    assert check[0].chosen


def test_fewer_threads_where_more_are_in_the_way(machine: Machine, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    real = machine.seconds
    monkeypatch.setattr(
        machine, "seconds", lambda settings, *rest: real(settings, *rest) * (1 if settings.threads == 2 else 3)
    )
    assert run().tuning.settings.threads == 2


def test_small_batches_where_large_ones_are_slow(machine: Machine, run: Run) -> None:
    machine.large_batch_ms = 4.0
    settings = run().tuning.settings
    assert settings.batch_size == 2
    assert run(persons=(1,)).tuning.settings.batch_size == 8  # no difference: the default stays


def test_streams_where_they_gain(machine: Machine, run: Run) -> None:
    machine.streams_gain = 1.3
    settings = run().tuning.settings
    assert settings.streams == 2  # 4 gain no more
    assert settings.batch_size == 8


def test_a_backend_without_streams(machine: Machine, run: Run) -> None:
    machine.streams_gain, machine.most_streams = 1.3, 1
    assert run().tuning.settings.streams == 1


def test_a_file_with_a_fixed_batch(machine: Machine, run: Run) -> None:
    machine.fixed, machine.offered = 4, ()
    outcome = run()
    assert outcome.tuning.settings.batch_size == 4
    assert {row.settings.batch_size for row in outcome.rows} == {4}


def test_one_core_and_one_arithmetic_leave_nothing_to_choose(machine: Machine, run: Run) -> None:
    machine.cores, machine.offered, machine.large_batch_ms = 1, (), 0.01
    outcome = run(persons=(1,))
    assert {row.stage for row in outcome.rows} == {search.CHECK.name}
    assert [(one.precision, one.speed) for one in outcome.tuning.precisions] == [("fp32", 1.0)]


def test_a_gain_that_the_check_does_not_confirm_is_not_kept(
    machine: Machine, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = search.measure_rounds
    calls = 0

    def lucky(contenders: Sequence[Any], *rest: Any) -> Any:
        nonlocal calls
        calls += 1
        measured = real(contenders, *rest)
        if calls > 1:
            return measured
        # in the first stage the second contender was lucky
        return [measured[0], replace(measured[0], rounds=tuple((a / 2, b / 2) for a, b in measured[0].rounds))]

    machine.offered = ()
    machine.speeds = {None: 1.0}
    machine.large_batch_ms = 0.01
    monkeypatch.setattr(search, "measure_rounds", lucky)
    assert run(threads=(4, 3)).tuning.settings == Settings(threads=4)


def test_figures_of_the_choice_are_those_of_the_check(machine: Machine, run: Run) -> None:
    machine.streams_gain = 1.3
    outcome = run(persons=(1, 8))
    loads = outcome.tuning.loads
    assert [(one.use, one.persons) for one in loads] == [("infer", 1), ("infer", 8), ("stream", 1), ("stream", 8)]
    for one in loads:
        gain = 1.6 * (1.3 if one.use == "stream" else 1)
        assert one.default_ms / one.tuned_ms == pytest.approx(gain, rel=0.03)
    default, chosen = [row for row in outcome.rows if row.stage == search.CHECK.name]
    assert chosen.milliseconds == tuple(one.tuned_ms for one in loads)
    assert default.milliseconds == tuple(one.default_ms for one in loads)


def test_each_stage_has_one_choice_and_speeds_beside_its_first_row(machine: Machine, run: Run) -> None:
    rows = run().rows
    for stage in {row.stage for row in rows}:
        of_stage = [row for row in rows if row.stage == stage]
        assert sum(row.chosen for row in of_stage) == 1
        assert of_stage[0].speed == 1
        assert all(row.speed_bounds[0] <= row.speed <= row.speed_bounds[1] for row in of_stage)


def test_threads_that_were_asked_for(machine: Machine, run: Run) -> None:
    rows = run(threads=(2, 1)).rows
    assert {row.settings.threads for row in rows} == {2, 1}
    assert rows[0].settings == Settings(threads=2)


def test_the_watch_is_told(machine: Machine, run: Run) -> None:
    watch = Quiet()
    run(watch)
    assert watch.stages[1:] == [stage.name for stage in search.STAGES]


@pytest.mark.parametrize("name", ["a.safetensors", "a.pkl", "a.txt", "a"])
def test_what_is_not_deployed_is_refused(name: str) -> None:
    with pytest.raises(InputError, match="danet convert"):
        Search(Path(name), None, Plan(), Quiet())


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match="no such file"):
        Search(tmp_path / "no.xml", None, Plan(), Quiet()).run()


@pytest.mark.long
def test_a_real_model(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contenders, "TIMING_S", 0.0)
    monkeypatch.setattr(contenders, "FRAME_SIZE", (120, 160))
    outcome = Search(model, None, Plan((1, 2), 0.0), Quiet()).run()
    assert {row.stage for row in outcome.rows} >= {search.CHECK.name}
    assert all(value > 0 for row in outcome.rows for value in row.milliseconds)
    assert outcome.tuning.situation.backend == "openvino"
