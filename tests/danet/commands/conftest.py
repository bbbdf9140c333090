from __future__ import annotations

import os
import pickle
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Damage = Callable[..., Path]


class _Payload:
    """Runs a shell command when it is unpickled."""

    def __init__(self, command: str) -> None:
        self.command = command

    def __reduce__(self) -> Any:
        return os.system, (self.command,)


@pytest.fixture
def payload(tmp_path: Path) -> Callable[[str], tuple[Path, Path]]:
    """A pickle of some suffix that creates a file when it is run: its path, and that of the file."""

    def make(suffix: str) -> tuple[Path, Path]:
        model, mark = tmp_path / f"evil{suffix}", tmp_path / "was-run"
        data = pickle.dumps({"state_dict": {"fp.head.0.weight": _Payload(f"touch '{mark}'")}})
        if suffix == ".pt":  # as torch.save packs it
            with zipfile.ZipFile(model, "w") as archive:
                archive.writestr("evil/data.pkl", data)
                archive.writestr("evil/version", "3\n")
        else:
            model.write_bytes(data)
        return model, mark

    return make


@pytest.fixture
def cut(tmp_path: Path) -> Damage:
    """A copy of a model file of which one part is cut to a share of its length."""

    def make(path: Path, part: str, share: float = 0.5) -> Path:
        folder = tmp_path / "cut"
        folder.mkdir()
        for suffix in {path.suffix, part}:
            shutil.copy(path.with_suffix(suffix), folder)
        damaged = folder / path.with_suffix(part).name
        data = damaged.read_bytes()
        damaged.write_bytes(data[: int(len(data) * share)])
        return folder / path.name

    return make
