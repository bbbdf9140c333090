from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from danet.errors import InputError
from danet.poses import Poses
from danet.video.frame import Frame
from danet.video.json_lines import JsonLinesWriter
from danet.video.result import FramePoses


def result(index: int, persons: int = 2, name: str = "", ids: bool = True) -> FramePoses:
    rng = np.random.default_rng(index)
    poses = Poses(
        keypoints=rng.uniform(0, 100, (persons, 17, 2)).astype(np.float32),
        scores=rng.uniform(0, 1, (persons, 17)).astype(np.float32),
        boxes=rng.uniform(0, 100, (persons, 4)).astype(np.float32),
        ids=np.arange(persons) + 7 if ids else None,
    )
    return FramePoses(Frame(np.zeros((48, 64, 3), np.uint8), index, index / 30, name), poses, True, 0.01)


def lines(text: str) -> list[dict[str, Any]]:
    assert text == "" or text.endswith("\n")
    return [json.loads(line) for line in text.splitlines()]


def test_a_line_for_each_frame(tmp_path: Path) -> None:
    path = tmp_path / "new" / "poses.jsonl"
    results = [result(0), result(3, persons=0), result(4, name="Füße.png", ids=False)]
    with JsonLinesWriter(path) as writer:
        for one in results:
            writer.write(one)
    writer.close()
    assert writer.lines == 3
    found = lines(path.read_text(encoding="utf-8"))
    assert found == [json.loads(json.dumps(one.to_dict())) for one in results]
    assert found[0]["frame"] == 0
    assert (found[0]["width"], found[0]["height"]) == (64, 48)
    assert [person["id"] for person in found[0]["persons"]] == [7, 8]
    assert found[1] == {"frame": 3, "time_s": 0.1, "width": 64, "height": 48, "persons": []}
    assert found[2]["name"] == "Füße.png"
    assert "id" not in found[2]["persons"][0]


def test_each_line_is_there_at_once(tmp_path: Path) -> None:
    path = tmp_path / "poses.jsonl"
    path.write_text("an older run, and longer\n" * 100)
    with JsonLinesWriter(path) as writer:
        assert path.read_text() == ""
        for count in range(1, 4):
            writer.write(result(count))
            assert len(lines(path.read_text())) == count


def test_standard_output(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with JsonLinesWriter("-") as writer:
        writer.write(result(1))
        writer.write(result(2))
    captured = capsys.readouterr()
    assert [line["frame"] for line in lines(captured.out)] == [1, 2]
    assert captured.err == ""
    assert list(tmp_path.iterdir()) == []
    print("still open")


def test_a_full_device() -> None:
    if not Path("/dev/full").exists():
        pytest.skip("needs /dev/full")
    with JsonLinesWriter("/dev/full") as writer, pytest.raises(OSError, match="No space left") as caught:
        writer.write(result(0))
    assert (caught.value.errno, caught.value.filename) == (errno.ENOSPC, "/dev/full")
    assert writer.lines == 0


@pytest.fixture
def small_disk(mounted: Callable[[str], Path]) -> Path:
    """A file system of 32 kB."""
    return mounted("32k")


def test_a_full_disk_leaves_whole_lines(small_disk: Path) -> None:
    path = small_disk / "poses.jsonl"
    written = 0
    with pytest.raises(OSError, match="No space left") as caught, JsonLinesWriter(path) as writer:  # noqa: PT012
        for written in range(1000):
            writer.write(result(written))
    assert caught.value.filename == str(path)
    assert written > 5
    found = lines(path.read_text())
    assert [line["frame"] for line in found] == list(range(written))


def test_writing_goes_on_when_there_is_room_again(small_disk: Path) -> None:
    path, ballast = small_disk / "poses.jsonl", small_disk / "ballast"
    with JsonLinesWriter(path) as writer:
        ballast.write_bytes(bytes(28 << 10))
        count = 0
        with pytest.raises(OSError, match="No space left"):  # noqa: PT012 -- writes until it fails
            while True:
                writer.write(result(count))
                count += 1
        ballast.unlink()
        writer.write(result(99))
    assert [line["frame"] for line in lines(path.read_text())] == [*range(count), 99]


def test_ctrl_c_within_a_line_takes_it_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "poses.jsonl"
    with JsonLinesWriter(path) as writer:
        writer.write(result(0))
        file: Any = writer._file

        class Interrupted:
            """The file, which takes half a line and is then interrupted."""

            def write(self, line: memoryview) -> int:
                file.write(line[: len(line) // 2])
                raise KeyboardInterrupt

            def __getattr__(self, name: str) -> Any:
                return getattr(file, name)

        with monkeypatch.context() as patch:
            patch.setattr(writer, "_file", Interrupted())
            with pytest.raises(KeyboardInterrupt):
                writer.write(result(1))
        assert [line["frame"] for line in lines(path.read_text())] == [0]
        writer.write(result(2))
    assert [line["frame"] for line in lines(path.read_text())] == [0, 2]


def test_numbers_that_json_does_not_have(tmp_path: Path) -> None:
    bad = result(5)
    bad.poses.keypoints[0, 0, 0] = np.nan
    with JsonLinesWriter(tmp_path / "poses.jsonl") as writer:
        with pytest.raises(InputError, match="frame 5: JSON has no NaN"):
            writer.write(bad)
        writer.write(result(6))
    assert len(lines((tmp_path / "poses.jsonl").read_text())) == 1


def test_what_cannot_be_written_to(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is a folder"):
        JsonLinesWriter(tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="file"):
        JsonLinesWriter(tmp_path / "file" / "poses.jsonl")
    writer = JsonLinesWriter(tmp_path / "poses.jsonl")
    writer.close()
    with pytest.raises(InputError, match="this writer is closed"):
        writer.write(result(0))


def test_names_that_are_no_text(tmp_path: Path) -> None:
    """A file name of bytes that are not UTF-8, as Linux allows, comes back as it was."""
    name = os.fsdecode(b"caf\xe9.png")
    path = tmp_path / "poses.jsonl"
    with JsonLinesWriter(path) as writer:
        writer.write(result(0, name=name))
    assert lines(path.read_text())[0]["name"] == name


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no /dev/stdout that leads to a file")
def test_what_stdout_holds_stays(tmp_path: Path) -> None:
    """`>> all.jsonl` with /dev/stdout as the path."""
    path = tmp_path / "all.jsonl"
    path.write_text('{"old": 1}\n')
    code = (
        "from tests.danet.video.test_json_lines import result\n"
        "from danet.video.json_lines import JsonLinesWriter\n"
        "with JsonLinesWriter('/dev/stdout') as writer:\n"
        "    writer.write(result(0)); writer.write(result(1))\n"
    )
    with path.open("a") as target:
        subprocess.run([sys.executable, "-c", code], stdout=target, check=True, timeout=60)
    assert [one.get("old", one.get("frame")) for one in lines(path.read_text())] == [1, 0, 1]


def test_numbers_of_numpy(tmp_path: Path) -> None:
    one = result(3)
    frame = Frame(one.frame.image, np.int64(3), np.float32(0.1))  # type: ignore[arg-type]
    with JsonLinesWriter(tmp_path / "poses.jsonl") as writer:
        writer.write(replace(one, frame=frame))
    assert lines((tmp_path / "poses.jsonl").read_text())[0]["frame"] == 3


def test_poses_without_a_frame_are_refused(tmp_path: Path) -> None:
    writer = JsonLinesWriter(tmp_path / "out.jsonl")
    with writer, pytest.raises(InputError, match=r"a line of Poses, expected FramePoses"):
        writer.write(result(0).poses)  # type: ignore[arg-type]
    assert (tmp_path / "out.jsonl").read_bytes() == b""
