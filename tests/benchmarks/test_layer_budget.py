from __future__ import annotations

from pathlib import Path

import pytest

from danet_benchmarks.graph_cost import graph_cost
from danet_benchmarks.layer_budget import Layer, Peaks, copy_gbytes, main, measure_layers, table

PEAKS = Peaks({"FP32": 100.0, "INT8": 200.0}, 10.0)


def test_every_multiply_add_is_in_one_layer(tiny_ir: Path) -> None:
    layers = measure_layers(tiny_ir, 2, 1)
    assert sum(layer.multiply_adds for layer in layers) == 2 * graph_cost(tiny_ir).multiply_adds
    assert all(layer.milliseconds >= 0 for layer in layers)
    assert sum(layer.milliseconds for layer in layers) > 0
    convolutions = [layer for layer in layers if layer.kind == "Convolution"]
    # crops as bytes in, at least; a first convolution writes 64 channels at half the resolution
    assert max(layer.bytes for layer in convolutions) > 2 * 64 * 64 * 48 * 4


@pytest.mark.parametrize(
    ("layer", "least_ms"),
    [
        (Layer("Convolution", "brgconv_avx2_f32", 400_000_000, 1_000_000, 9.0), 4.0),  # 0.4 GMAC at 100 a second
        (Layer("Convolution", "jit_avx2_1x1_I8", 400_000_000, 1_000_000, 9.0), 2.0),
        (Layer("Concatenation", "ref_f32", 0, 30_000_000, 9.0), 3.0),  # 0.03 GB at 10 a second
    ],
)
def test_the_longer_of_arithmetic_and_memory_bounds_a_layer(layer: Layer, least_ms: float) -> None:
    assert PEAKS.least_ms([layer]) == pytest.approx(least_ms)
    assert PEAKS.least_ms([layer, layer]) == pytest.approx(2 * least_ms)


def test_table_by_hand() -> None:
    layers = [
        Layer("Convolution", "jit_I8", 400_000_000, 1_000_000, 6.0),
        Layer("Concatenation", "ref_f32", 0, 20_000_000, 2.0),
        Layer("Reorder", "nothing", 0, 10, 0.0),
    ]
    lines = table(layers, PEAKS, batch=2).splitlines()
    assert lines[2:] == [
        "| Convolution | jit_I8 | 1 | 200.0 | 0.50 | 3.00 | 75.0% | 67 | 1.00 | 3.0 x |",
        "| Concatenation | ref_f32 | 1 | 0.0 | 10.00 | 1.00 | 25.0% | 0 | 1.00 | 1.0 x |",
        "| all |  | 3 | 200.0 | 10.50 | 4.00 | 100.0% | 50 | 2.00 | 2.0 x |",
    ]


def test_copies_are_measured() -> None:
    assert 0.1 < copy_gbytes(1, 0.2) < 5000


@pytest.mark.usefixtures("small_products")
def test_the_program_prints_a_table(tiny_ir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tiny_ir), "--batch", "1", "--threads", "1", "--seconds", "0.05"]) == 0
    out = capsys.readouterr().out
    assert "Peaks: FP32" in out
    assert "| Convolution |" in out
    assert "| all |" in out
