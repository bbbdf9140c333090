from __future__ import annotations

import sys
from pathlib import Path

import pytest

from danet.cpu import read_cpu
from danet_benchmarks.machine import read_machine
from danet_benchmarks.memory import machine_memory_gib
from danet_benchmarks.noise import CALLS, FixedWork
from danet_benchmarks.peaks import PRECISIONS, Products, measure_peaks
from danet_benchmarks.results import Peak


def test_read_machine() -> None:
    machine = read_machine((Peak("FP32", 1, 3.0),), 0.2)
    assert machine.cpu == read_cpu().name
    assert machine.memory_gib == machine_memory_gib() > 0.1
    libraries = dict(machine.libraries)
    assert {"danet-edge", "numpy", "openvino", "torch"} <= set(libraries)
    assert all(libraries.values())
    assert (machine.peaks, machine.noise) == ((Peak("FP32", 1, 3.0),), 0.2)


def test_peaks_of_what_the_cpu_has(small_products: None) -> None:
    peaks = measure_peaks((1,), 0.0)
    assert (peaks[0].precision, peaks[0].threads) == ("FP32", 1)  # every CPU has it
    assert {peak.precision for peak in peaks} <= set(PRECISIONS)
    assert all(peak.gops > 0 for peak in peaks)


def test_arithmetic_that_is_not_there_gives_no_peak(small_products: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("danet_benchmarks.peaks._executed", lambda compiled: ["f32"])
    assert [peak.precision for peak in measure_peaks((1,), 0.0)] == ["FP32"]

    def refuse(compiled: object) -> list[str]:
        raise RuntimeError("bf16 is not supported")

    monkeypatch.setattr("danet_benchmarks.peaks._executed", refuse)
    assert measure_peaks((1,), 0.0) == ()


def test_spread_of_fixed_work(small_products: None, monkeypatch: pytest.MonkeyPatch) -> None:
    work = FixedWork(1)
    times = iter([1.0, 1.0, 9.0, 1.0, 1.0] + [1.5] * CALLS + [1.2] * CALLS)
    monkeypatch.setattr(Products, "seconds", lambda self: next(times))
    assert work.spread == 0.0
    for _ in range(3):
        work.read()
    assert work.readings == [1.0, 1.5, 1.2]  # the median of a reading's calls
    assert work.spread == pytest.approx(0.5 / 1.2)


@pytest.mark.skipif(sys.platform == "win32", reason="the machine's memory is not known there")
@pytest.mark.parametrize(
    ("own", "files", "expected"),
    [
        ("0::/a/b\n", {"a/b/memory.max": "max\n", "a/memory.max": "268435456\n"}, 0.25),
        ("4:memory:/docker/1\n", {"memory/docker/1/memory.limit_in_bytes": "268435456\n"}, 0.25),
        ("4:memory:/\n3:cpu:/x\n", {"memory/memory.limit_in_bytes": f"{(1 << 63) - 4096}\n"}, None),
        ("0::/\n", {"memory.max": "max\n"}, None),
    ],
)
def test_a_containers_memory(own: str, files: dict[str, str], expected: float | None, tmp_path: Path) -> None:
    for name, content in {"proc/self/cgroup": own, **{f"sys/fs/cgroup/{key}": files[key] for key in files}}.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(content)
    whole = machine_memory_gib(tmp_path / "nothing")
    assert machine_memory_gib(tmp_path) == (expected or whole)
