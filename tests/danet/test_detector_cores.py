"""Detectors of several cameras in one process work on different cores."""

from __future__ import annotations

from pathlib import Path

from danet.detectors.network import open_network

GOLDEN = Path(__file__).parents[1] / "compatibility" / "golden" / "version-1"


def test_openvino_pins_no_threads_to_cores() -> None:
    network = open_network(GOLDEN / "tiny.xml", None, 1)
    compiled = network._compiled  # type: ignore[attr-defined]
    assert compiled.get_property("ENABLE_CPU_PINNING") is False
    assert compiled.get_property("INFERENCE_NUM_THREADS") == 1
