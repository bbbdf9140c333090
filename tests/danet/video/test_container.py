from __future__ import annotations

from pathlib import Path

import pytest

from danet.video.container import missing_part

from .conftest import textured, write_av, write_cv2

TIMES = [index / 25 for index in range(30)]


@pytest.fixture(scope="module", params=["avi", "mp4v", "faststart", "fragmented", "mov", "mkv"])
def video(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("containers")
    if request.param == "avi":
        return write_cv2(folder / "a.avi", 30, "MJPG", textured)
    if request.param == "mp4v":
        return write_cv2(folder / "a.mp4", 30, "mp4v", textured)
    movie = {"faststart": "faststart", "fragmented": "frag_keyframe+empty_moov+default_base_moof"}.get(request.param)
    suffix = {"mov": ".mov", "mkv": ".mkv"}.get(request.param, ".mp4")
    return write_av(folder / f"a{suffix}", TIMES, textured, {"movflags": movie} if movie else {})


def test_nothing_is_missing_in_a_whole_file(video: Path) -> None:
    assert missing_part(video) is None


@pytest.mark.parametrize("part", [0.3, 0.6, 0.95])
def test_a_cut_file_is_recognised(part: float, video: Path, tmp_path: Path) -> None:
    content = video.read_bytes()
    cut = tmp_path / video.name
    cut.write_bytes(content[: int(len(content) * part)])
    missing = missing_part(cut)
    assert missing is not None
    assert "missing" in missing


def test_the_number_of_missing_bytes(tmp_path: Path) -> None:
    whole = write_cv2(tmp_path / "a.avi", 10, "MJPG").read_bytes()
    cut = tmp_path / "cut.avi"
    cut.write_bytes(whole[:-1000])
    assert missing_part(cut) == "its last 1000 bytes are missing"


def test_a_recording_that_was_never_closed_names_the_index(tmp_path: Path) -> None:
    content = write_cv2(tmp_path / "a.mp4", 30, "mp4v", textured).read_bytes()
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(content[: len(content) // 2])
    assert "moov" in str(missing_part(cut))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"no video at all",
        b"RIFF",
        b"RIFF\0\0\0\0AVI LIST",  # not closed by its writer
        b"RIFF\xff\xff\xff\xffAVI LIST",
        b"\x1a\x45\xdf\xa3",
        b"\x1a\x45\xdf\xa3\x81\0\x18\x53\x80\x67\x01\xff\xff\xff\xff\xff\xff\xff1234",  # a live recording
        b"\0\0\0\x10ftypisom\0\0\0\0" + b"\xff" * 40,  # damaged behind its first box
    ],
)
def test_nothing_is_claimed_of_what_is_not_understood(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(content)
    assert missing_part(path) is None
