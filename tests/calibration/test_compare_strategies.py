from __future__ import annotations

import sys
import weakref
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from danet.model_files import model_files
from danet_calibration import compare_strategies
from danet_calibration.compare_strategies import _errors, main

DATA = SimpleNamespace(name="val", persons=())


def test_sizes_are_of_the_files_that_a_model_has(
    tiny_onnx: Path, tiny_ir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    crops = SimpleNamespace(batches=lambda size: iter([np.zeros(size)]))
    job = SimpleNamespace(
        fitting=lambda strategy: strategy,
        float_model=SimpleNamespace(path=tiny_onnx),
        validations=(DATA,),
        calibration=SimpleNamespace(crops=crops),
    )
    monkeypatch.setattr(compare_strategies, "_open", lambda *_: job)
    monkeypatch.setattr(compare_strategies, "float_aps", lambda _: (0.5,))
    monkeypatch.setattr(compare_strategies, "_measured", lambda *_: (tiny_ir, (0.4,)))
    monkeypatch.setattr(compare_strategies, "_errors", lambda _, files, __: {name: [0.0] for name in files})
    monkeypatch.setattr(compare_strategies, "_speeds", lambda files, *_: dict.fromkeys(files, 1.0))
    monkeypatch.setattr(sys, "argv", ["", str(tiny_onnx), "--out", str(tmp_path), "--only", "default"])
    main()
    sizes = {row.split(" | ")[0]: row.split(" | ")[4] for row in capsys.readouterr().out.splitlines()[3:]}
    expected = {"| float": tiny_onnx, "| default": tiny_ir}
    assert sizes == {
        name: f"{sum(part.stat().st_size for part in model_files(path)) / 1e6:.2f}" for name, path in expected.items()
    }


def test_errors_are_of_one_file_after_the_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[weakref.ref[Any]] = []
    held: list[int] = []

    def heatmaps(path: Path, _: Any) -> Any:
        held.append(sum(one() is not None for one in made))
        answer = np.full(4, float(path.name))
        made.append(weakref.ref(answer))
        return answer

    for name in ("dataset_candidates", "choose", "cut_crops"):
        monkeypatch.setattr(compare_strategies, name, lambda *_, **__: None)
    monkeypatch.setattr(compare_strategies, "_heatmaps", heatmaps)
    job: Any = SimpleNamespace(validations=(DATA,), float_model=SimpleNamespace(spec=None))
    files = {name: Path(name) for name in ("2", "3", "4", "2.5")}
    assert _errors(job, files, tmp_path) == {"2": [0.0], "3": [0.25], "4": [1.0], "2.5": [0.0625]}
    assert held == [0, 1, 1, 1]  # the first one's alone
