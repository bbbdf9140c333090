from __future__ import annotations

import os
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
