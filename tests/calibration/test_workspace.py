from __future__ import annotations

from pathlib import Path

import pytest

from danet_calibration.workspace import Workspace, files_digest, key_of


def test_figures_come_back_and_count_as_reused(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "cache")
    assert workspace.figures("ap") is None
    workspace.keep("ap", {"ap": 0.25})
    assert Workspace(tmp_path / "cache").figures("ap") == {"ap": 0.25}
    assert (workspace.reused, workspace.figures("ap"), workspace.reused) == (0, {"ap": 0.25}, 1)


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


def test_keys_tell_their_parts() -> None:
    assert key_of("ap", {"a": 1, "b": 2}) == key_of("ap", {"b": 2, "a": 1})
    assert len({key_of("ap", 1), key_of("ap", 2), key_of(1, "ap")}) == 3


def test_digest_of_files(tmp_path: Path) -> None:
    for name, text in (("a", "1"), ("b", "2")):
        (tmp_path / name).write_text(text)
    both = files_digest(tmp_path / "a", tmp_path / "b")
    assert both != files_digest(tmp_path / "a", tmp_path / "missing") != files_digest(tmp_path / "b")
    (tmp_path / "b").write_text("3")
    assert files_digest(tmp_path / "a", tmp_path / "b") != both
