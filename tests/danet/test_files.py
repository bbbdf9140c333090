from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from danet.files import move_together, refuse_unwritable, scratch_beside, write_beside

if sys.platform != "win32":
    import fcntl


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


KILLED = """
import os, signal, sys
from pathlib import Path
from danet.files import write_beside
with write_beside(Path(sys.argv[1])) as temporary:
    temporary.write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL, and no locks of folders")
def test_what_a_killed_process_left_is_removed_by_the_next(tmp_path: Path) -> None:
    path = tmp_path / "model.xml"
    path.write_text("old")
    done = subprocess.run([sys.executable, "-c", KILLED, str(path)], timeout=60, check=False)
    assert done.returncode == -signal.SIGKILL
    (left,) = (one for one in tmp_path.iterdir() if one != path)
    assert left.name.startswith(".model.xml.")
    assert path.read_text() == "old"
    with write_beside(tmp_path / "other.xml") as temporary:
        temporary.touch()
    assert left.exists()  # another file's
    with write_beside(path) as temporary:
        temporary.write_text("new")
    assert sorted(one.name for one in tmp_path.iterdir()) == ["model.xml", "other.xml"]


def test_what_others_are_writing_and_what_is_the_users_stays(tmp_path: Path) -> None:
    path = tmp_path / "model.xml"
    (tmp_path / ".model.xml.original").mkdir()
    (tmp_path / ".model.xml.copy.part").write_text("a file")
    with write_beside(path) as first:
        first.write_text("first")
        with write_beside(path) as second:
            assert first.exists()
            second.write_text("second")
        assert path.read_text() == "second"
    assert path.read_text() == "first"
    assert sorted(one.name for one in tmp_path.iterdir()) == [
        ".model.xml.copy.part",
        ".model.xml.original",
        "model.xml",
    ]


def test_the_longest_names_can_be_written(tmp_path: Path) -> None:
    path = tmp_path / ("n" * 250 + ".json")
    with write_beside(path) as temporary:
        temporary.write_text("new")
    assert [one.name for one in tmp_path.iterdir()] == [path.name]


def test_errors_have_the_name_that_the_caller_gave(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(FileExistsError, match="file is a file, expected a folder") as caught:
        write_beside(tmp_path / "file" / "out.json").__enter__()
    assert caught.value.filename == str(tmp_path / "file" / "out.json")
    with pytest.raises(IsADirectoryError, match="a folder, expected a file"):
        write_beside(tmp_path).__enter__()

    def read_another() -> None:
        with write_beside(tmp_path / "out.json"):
            (tmp_path / "absent.txt").read_text()

    with pytest.raises(FileNotFoundError) as caught_other:
        read_another()
    assert caught_other.value.filename == str(tmp_path / "absent.txt")


def pair(folder: Path, content: str) -> list[Path]:
    files = [folder / "model.xml", folder / "model.bin"]
    for file in files:
        file.write_text(content)
    return files


def test_files_that_belong_together_are_moved_or_put_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = pair(tmp_path, "old")[0]
    rename, done = Path.replace, []

    def fail_once(self: Path, target: Path) -> Path:
        done.append(target)
        if len(done) == 4:  # the new .xml, when all else is in its place
            raise OSError(5, "Input/output error", str(target))
        return rename(self, target)

    def write() -> None:
        with scratch_beside(path) as scratch:
            move_together(pair(scratch, "new"), tmp_path)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "replace", fail_once)
        with pytest.raises(OSError, match="Input/output error"):
            write()
    assert {one.name: one.read_text() for one in tmp_path.iterdir()} == {"model.xml": "old", "model.bin": "old"}
    write()
    assert {one.name: one.read_text() for one in tmp_path.iterdir()} == {"model.xml": "new", "model.bin": "new"}


def test_of_files_that_belong_together_none_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rename = Path.replace

    def fail(self: Path, target: Path) -> Path:
        if self.suffix == ".xml":
            raise OSError(5, "Input/output error", str(target))
        return rename(self, target)

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(OSError, match="Input/output error"), scratch_beside(tmp_path / "model.xml") as scratch:
        move_together(pair(scratch, "new"), tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no locks of folders")
def test_two_callers_do_not_mix_their_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second comes when the first has moved one of two files, and has to wait."""
    rename = Path.replace
    second = threading.Thread(target=lambda: move("second"))
    entered = threading.Event()
    lock = fcntl.flock

    def move(content: str) -> None:
        with scratch_beside(tmp_path / "model.xml") as scratch:
            move_together(pair(scratch, content), tmp_path)

    def come_between(self: Path, target: Path) -> Path:
        done = rename(self, target)
        if threading.current_thread() is not second and self.suffix == ".bin":
            second.start()
            assert entered.wait(10)
        return done

    def watched(handle: int, operation: int) -> None:
        try:
            lock(handle, operation)
        except BlockingIOError:
            entered.set()
            raise

    monkeypatch.setattr(Path, "replace", come_between)
    monkeypatch.setattr("danet.files.fcntl.flock", watched)
    move("first")
    second.join()
    assert entered.is_set()
    assert {one.name: one.read_text() for one in tmp_path.iterdir()} == {"model.xml": "second", "model.bin": "second"}


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no locks of folders")
def test_a_folder_that_somebody_keeps_locked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As `flock /models danet convert ... --out /models` does."""
    monkeypatch.setattr("danet.files.LOCK_S", 0.05)
    handle = os.open(tmp_path, os.O_RDONLY)
    fcntl.flock(handle, fcntl.LOCK_EX)
    with scratch_beside(tmp_path / "model.xml") as scratch:
        move_together(pair(scratch, "new"), tmp_path)
    os.close(handle)
    assert (tmp_path / "model.bin").read_text() == "new"


@pytest.mark.skipif(sys.platform == "win32", reason="pipes and devices with names of POSIX systems")
def test_pipes_and_devices_are_written_to_and_stay(tmp_path: Path) -> None:
    pipe, null = tmp_path / "pipe.json", tmp_path / "null"
    os.mkfifo(pipe)
    null.symlink_to("/dev/null")
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    for path in (pipe, null):
        with write_beside(path) as temporary:
            assert temporary.suffix == path.suffix
            temporary.write_text("content")
    assert os.read(reader, 100) == b"content"
    os.close(reader)
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    assert null.is_symlink()
    assert sorted(one.name for one in tmp_path.iterdir()) == ["null", "pipe.json"]


@pytest.mark.skipif(not Path("/dev/stdout").exists(), reason="there is no /dev/stdout")
def test_standard_output_by_its_file_name(tmp_path: Path) -> None:
    program = "from pathlib import Path; from danet.files import write_beside\n"
    program += "with write_beside(Path('/dev/stdout')) as path: path.write_text('content')"
    before = Path("/dev/stdout").is_symlink()
    (tmp_path / "out").write_text("before ")
    with (tmp_path / "out").open("a") as out:
        subprocess.run([sys.executable, "-c", program], stdout=out, check=True, timeout=60)
    assert (tmp_path / "out").read_text() == "before content"
    assert Path("/dev/stdout").is_symlink() == before


def test_a_place_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError, match="is a file, expected a folder"):
        refuse_unwritable(tmp_path / "file" / "a.json")
    with pytest.raises(IsADirectoryError, match="expected a file to write"):
        refuse_unwritable(tmp_path)
    refuse_unwritable(tmp_path / "new" / "deep" / "a.json")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]  # nothing is made
    monkeypatch.setattr("os.path.lexists", lambda _: False)  # as of a drive of Windows that is not there
    with pytest.raises(FileNotFoundError):
        refuse_unwritable(tmp_path / "a.json")
