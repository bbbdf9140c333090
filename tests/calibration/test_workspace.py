from __future__ import annotations

from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from danet.cpu import Cpu
from danet_calibration import workspace as workspace_module
from danet_calibration.workspace import Workspace, key_of, measured_key


def test_figures_come_back_and_count_as_reused(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "cache")
    assert workspace.figures("ap") is None
    workspace.keep("ap", {"ap": 0.25})
    later = Workspace(tmp_path / "cache")
    assert (later.reused, later.figures("ap"), later.figures("ap"), later.reused) == (0, {"ap": 0.25}, {"ap": 0.25}, 1)


def test_what_the_run_itself_kept_is_not_of_an_earlier_one(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    workspace.keep("ap", {"ap": 0.25})
    assert workspace.figures("ap") == {"ap": 0.25}
    with workspace.new_entry("statistics"):
        pass
    workspace.count("statistics")
    assert workspace.reused == 0


@pytest.mark.parametrize("text", ["", "{", "[1]", "\x00"])
def test_damaged_figures_are_measured_anew(text: str, tmp_path: Path) -> None:
    (tmp_path / "ap.json").write_text(text)
    assert Workspace(tmp_path).figures("ap") is None


def test_an_entry_is_kept_whole_or_not_at_all(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)

    def fill(text: str) -> None:
        with workspace.new_entry("statistics") as folder:
            (folder / "one").write_text(text)
            if text == "bad":
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fill("bad")
    assert workspace.entry("statistics") is None
    assert not list(tmp_path.iterdir())
    fill("first")
    fill("second")
    entry = workspace.entry("statistics")
    assert entry is not None
    assert (entry / "one").read_text() == "second"


def test_of_two_runs_side_by_side_the_entry_of_the_first_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def other_run_is_faster(path: Path, **_: Any) -> None:
        path.mkdir()
        (path / "one").write_text("of the other run")

    monkeypatch.setattr(workspace_module, "shutil", SimpleNamespace(rmtree=other_run_is_faster))
    with Workspace(tmp_path).new_entry("statistics") as folder:
        (folder / "one").write_text("mine")
    assert (tmp_path / "statistics" / "one").read_text() == "of the other run"
    assert [path.name for path in tmp_path.iterdir()] == ["statistics"]


def test_keys_tell_their_parts() -> None:
    assert key_of("ap", {"a": 1, "b": 2}) == key_of("ap", {"b": 2, "a": 1})
    assert len({key_of("ap", 1), key_of("ap", 2), key_of(1, "ap")}) == 3


def test_what_another_version_of_the_code_computed_is_not_taken_over(monkeypatch: pytest.MonkeyPatch) -> None:
    before = key_of("ap", 1)
    monkeypatch.setattr(workspace_module, "FORMAT", workspace_module.FORMAT + 1)
    assert key_of("ap", 1) != before


def test_what_another_machine_or_runtime_measured_is_not_taken_over(monkeypatch: pytest.MonkeyPatch) -> None:
    def keys() -> tuple[str, str]:
        return measured_key("ap", 1), key_of("statistics", 1)

    monkeypatch.setattr(workspace_module, "read_cpu", lambda: Cpu("one", 2, ("AVX2",)))
    monkeypatch.delenv("ONEDNN_MAX_CPU_ISA", raising=False)
    monkeypatch.setattr(workspace_module, "version", lambda _: "1.0")
    found = [keys()]
    monkeypatch.setattr(workspace_module, "read_cpu", lambda: Cpu("one", 4, ("AVX2",)))
    assert keys() == found[0]  # fewer cores compute the same
    monkeypatch.setattr(workspace_module, "read_cpu", lambda: Cpu("one", 2, ("AVX2", "AVX-512 VNNI")))
    found.append(keys())
    monkeypatch.setattr(workspace_module, "read_cpu", lambda: Cpu("another", 2, ("AVX2", "AVX-512 VNNI")))
    found.append(keys())
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "AVX2")
    found.append(keys())
    monkeypatch.setattr(workspace_module, "version", lambda _: "1.1")
    found.append(keys())
    measured, others = zip(*found, strict=True)
    assert (len(set(measured)), len(set(others))) == (5, 1)


@pytest.mark.parametrize("package", ["numpy", "opencv-python", "onnxruntime"])
def test_what_crops_and_keypoints_come_from_is_part_of_a_measurement(
    package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = measured_key("ap", 1)
    monkeypatch.setattr(workspace_module, "version", lambda name: "0" if name == package else version(name))
    assert measured_key("ap", 1) != before
