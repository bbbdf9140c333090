from __future__ import annotations

from pathlib import Path

import pytest

from danet.files import write_beside


def test_the_file_appears_with_its_content(tmp_path: Path) -> None:
    path = tmp_path / "model.xml"
    with write_beside(path) as temporary:
        temporary.write_text("new")
        assert not path.exists()
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


def test_the_old_file_stands_until_the_end(tmp_path: Path) -> None:
    path = tmp_path / "model.xml"
    path.write_text("old")
    with write_beside(path) as temporary:
        temporary.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


def test_a_reader_of_the_old_file_keeps_it(tmp_path: Path) -> None:
    path = tmp_path / "model.xml"
    path.write_text("old")
    with path.open() as reader:
        with write_beside(path) as temporary:
            temporary.write_text("new")
        assert reader.read() == "old"


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, OSError])
@pytest.mark.parametrize("existed", [True, False])
def test_a_failure_leaves_the_old_file_and_no_litter(error: type[BaseException], existed: bool, tmp_path: Path) -> None:
    path = tmp_path / "model.xml"
    if existed:
        path.write_text("old")

    def fail() -> None:
        with write_beside(path) as temporary:
            temporary.write_text("half")
            raise error("disk full")

    with pytest.raises(error, match="disk full"):
        fail()
    assert [one.name for one in tmp_path.iterdir()] == (["model.xml"] if existed else [])
    assert not existed or path.read_text() == "old"


def test_a_body_that_writes_nothing_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "model.xml"
    path.write_text("old")
    with pytest.raises(FileNotFoundError), write_beside(path):
        pass
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_parent_folders_are_made(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "model.onnx"
    with write_beside(path) as temporary:
        temporary.write_bytes(b"x")
    assert path.read_bytes() == b"x"


@pytest.mark.parametrize("name", ["model.xml", "model.tar.gz", "model", ".hidden", "Füße.png"])
def test_the_temporary_name_has_the_same_suffixes_in_the_same_folder(name: str, tmp_path: Path) -> None:
    with write_beside(tmp_path / name) as temporary:
        assert temporary.suffixes == Path(name).suffixes
        assert tmp_path in temporary.parents  # so that the renaming stays within one file system
        temporary.touch()
    assert [one.name for one in tmp_path.iterdir()] == [name]


def test_permissions_are_those_of_an_ordinary_file(tmp_path: Path) -> None:
    (tmp_path / "ordinary").touch()
    with write_beside(tmp_path / "written") as temporary:
        temporary.touch()
    assert (tmp_path / "written").stat().st_mode == (tmp_path / "ordinary").stat().st_mode
