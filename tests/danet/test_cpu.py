from __future__ import annotations

import os
import platform
from pathlib import Path
from typing import Any

import pytest

from danet import cpu
from danet.backends.base import BackendOptions
from danet.backends.registry import load_model
from danet.cpu import cores_by_quota, limited_cores, read_cpu, usable_cores
from danet.detectors.network import open_network

GOLDEN = Path(__file__).parents[1] / "compatibility/golden/version-1"


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Makes up the machine's cores, those that the process may use, and the quota."""

    def make(cores: int, allowed: int, quota: int | None) -> None:
        monkeypatch.setattr(os, "cpu_count", lambda: cores)
        monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(allowed)), raising=False)
        monkeypatch.setattr(cpu, "quota_cores", lambda: quota)

    return make


@pytest.mark.parametrize(
    ("cores", "allowed", "quota", "expected"),
    [
        (8, 8, None, (8, None, None)),
        (8, 2, None, (2, 2, None)),
        (8, 8, 3, (3, 3, 3)),
        (8, 2, 3, (2, 2, None)),
        (8, 4, 3, (3, 3, 3)),
        (8, 8, 9, (8, None, None)),
        (1, 1, 1, (1, None, None)),
    ],
)
def test_cores(
    machine: Any, cores: int, allowed: int, quota: int | None, expected: tuple[int, int | None, int | None]
) -> None:
    machine(cores, allowed, quota)
    assert (usable_cores(), limited_cores(), cores_by_quota()) == expected
    assert read_cpu().cores == expected[0]


@pytest.mark.needs("onnxruntime")
@pytest.mark.parametrize(
    ("allowed", "threads", "expected"), [(64, None, 0), (2, None, 2), (2, 1, 1), (2, 3, 3), (64, 3, 3)]
)
def test_onnx_runtime_takes_no_more_than_the_process_may_use(
    machine: Any, allowed: int, threads: int | None, expected: int
) -> None:
    machine(64, allowed, None)
    backend: Any = load_model(GOLDEN / "tiny.onnx", None, BackendOptions(threads=threads)).backend
    network: Any = open_network(GOLDEN / "tiny.onnx", "onnxruntime", threads)
    for session in (backend._session, network._opened):
        assert session.get_session_options().intra_op_num_threads == expected
    backend.close()


@pytest.mark.parametrize(("quota", "threads", "expected"), [(1, None, 1), (2, 1, 1)])
def test_openvino_is_told_of_a_quota(
    machine: Any, quota: int, threads: int | None, expected: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("DANET_CACHE_DIR", str(tmp_path))
    machine(64, 64, quota)
    backend: Any = load_model(GOLDEN / "tiny.xml", None, BackendOptions(threads=threads)).backend
    network: Any = open_network(GOLDEN / "tiny.xml", "openvino", threads)
    with backend._pools.lend((1, 128, 96, 3)) as request:
        for compiled in (request.get_compiled_model(), network._compiled):
            assert compiled.get_property("INFERENCE_NUM_THREADS") == expected
    backend.close()


CORE = """processor	: {number}
BogoMIPS	: 108.00
Features	: fp asimd evtstrm crc32 cpuid
CPU implementer	: 0x41
CPU architecture: 8
CPU variant	: {variant}
CPU part	: {part}
CPU revision	: 3

"""


def test_arm_cores_are_told_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """64-bit Arm kernels state no name; a tuning of a Pi 3 is none for a Pi 4, nor for a phone's unlike cores."""
    boards = {
        "pi3": [("0x0", "0xd03")] * 4,
        "pi4": [("0x0", "0xd08")] * 4,
        "phone": [("0x0", "0xd03")] * 4 + [("0x0", "0xd08")] * 2,
    }
    names = {}
    monkeypatch.setattr(platform, "machine", lambda: "aarch64")
    for board, cores in boards.items():
        text = "".join(CORE.format(number=at, variant=one[0], part=one[1]) for at, one in enumerate(cores))
        (tmp_path / board).write_text(text + "Revision	: a02082\nModel		: Raspberry Pi\n")
        monkeypatch.setattr(cpu, "CPUINFO", tmp_path / board)
        found = read_cpu()
        names[board] = found.name
        assert found.features == ("NEON",)
    assert names == {
        "pi3": "aarch64 0x41:0xd03:0x0",
        "pi4": "aarch64 0x41:0xd08:0x0",
        "phone": "aarch64 0x41:0xd03:0x0 0x41:0xd08:0x0",
    }
