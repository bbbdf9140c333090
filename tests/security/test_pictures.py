"""Pictures that unpack to more than a machine has: refused by their header, before a decoder starts."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from danet import picture_file
from danet.errors import InputError
from danet.frame import MAX_BOXES, as_boxes, read_picture
from danet.picture_file import MAX_PICTURE_PIXELS, stated_size
from danet.video.folder_source import FolderSource
from danet_evaluation.coco import read_image

SUFFIXES = (".png", ".jpg", ".webp", ".bmp", ".tiff", ".gif")


def png(width: int, height: int, rows: int) -> bytes:
    """A grey PNG of one bit to a pixel that states a size and holds so many rows of it."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    pixels = zlib.compress(b"\0" * (1 + (width + 7) // 8) * rows, 9)
    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


@pytest.mark.parametrize("suffix", SUFFIXES)
@given(width=st.integers(1, 300), height=st.integers(1, 300))
def test_a_header_states_what_the_decoder_gives(suffix: str, width: int, height: int) -> None:
    if suffix == ".gif" and not cv2.haveImageWriter("x.gif"):
        pytest.skip("this OpenCV writes no GIF")
    data = cv2.imencode(suffix, np.zeros((height, width, 3), np.uint8))[1].tobytes()
    assert stated_size(data) == (width, height)


@pytest.mark.parametrize("quality", [50, 101])  # lossy and lossless WebP
def test_both_kinds_of_webp(quality: int) -> None:
    picture = np.full((70, 33, 3), 90, np.uint8)
    assert stated_size(cv2.imencode(".webp", picture, [cv2.IMWRITE_WEBP_QUALITY, quality])[1].tobytes()) == (33, 70)


@given(st.sampled_from(SUFFIXES), st.data())
def test_damaged_headers_are_no_error(suffix: str, data: st.DataObject) -> None:
    if suffix == ".gif" and not cv2.haveImageWriter("x.gif"):
        suffix = ".png"
    content = bytearray(cv2.imencode(suffix, np.zeros((5, 7, 3), np.uint8))[1].tobytes())
    for place in data.draw(st.lists(st.integers(0, min(60, len(content) - 1)), max_size=8)):
        content[place] = data.draw(st.integers(0, 255))
    stated_size(bytes(content[: data.draw(st.integers(0, len(content)))]))


def test_a_bomb_is_refused(tmp_path: Path) -> None:
    """56 kilobytes, 450 million pixels: 1.3 GB as BGR."""
    path = tmp_path / "bomb.png"
    path.write_bytes(png(30_000, 15_000, 15_000))
    assert path.stat().st_size < 100_000
    for read in (read_picture, read_image):
        with pytest.raises(InputError, match=f"30000 x 15000 pixels, expected at most {MAX_PICTURE_PIXELS}"):
            read(path)


def test_a_bomb_in_a_folder_of_pictures_is_left_out(tmp_path: Path) -> None:
    good, bomb = tmp_path / "good.png", tmp_path / "bomb.png"
    good.write_bytes(png(40, 30, 30))
    bomb.write_bytes(png(60_000, 60_000, 1))
    source = FolderSource([bomb, good])
    assert [frame.image.shape for frame in source] == [(30, 40, 3)]
    assert "60000 x 60000 pixels" in source.notes[0]


@pytest.mark.parametrize(
    ("head", "size"),
    [
        (b"GIF89a\xff\xff\xff\xff", (65535, 65535)),
        (b"BM" + bytes(12) + struct.pack("<Iii", 40, 100_000, -90_000), (100_000, 90_000)),
        (b"\xff\xd8\xff\xe0\x00\x04xx\xff\xc0\x00\x11\x08\xff\xff\xff\xff\x03", (65535, 65535)),
        (b"\xff\xd8\xff\xc0\x00\x08\x08\x00\x01\x00\x01\x03\xff\xc2\x00\x08\x08\xff\xff\xff\xff\x03", (65535, 65535)),
        (b"MM\0*\0\0\0\x08\0\x02\x01\0\0\x04\0\0\0\x01\0\x01\0\0\x01\1\0\3\0\0\0\1\xff\xff\0\0", (65536, 65535)),
        (b"RIFF\0\0\0\0WEBPVP8X\n\0\0\0\0\0\0\0\xff\xff\xff\xff\xff\xff", (1 << 24, 1 << 24)),
    ],
)
def test_huge_sizes_of_each_format(tmp_path: Path, head: bytes, size: tuple[int, int]) -> None:
    assert stated_size(head + bytes(16)) == size
    path = tmp_path / "huge"
    path.write_bytes(head + bytes(16))
    with pytest.raises(InputError, match=f"{size[0]} x {size[1]} pixels"):
        read_picture(path)


def test_an_endless_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(picture_file, "MAX_PICTURE_BYTES", 1 << 16)
    with pytest.raises(InputError, match="more than 65536 bytes"):
        read_picture(Path("/dev/zero"))


def test_more_boxes_than_any_picture_has_persons() -> None:
    assert len(as_boxes(np.tile([0, 0, 9, 9], (MAX_BOXES, 1)), "xyxy", (10, 10))) == MAX_BOXES
    with pytest.raises(InputError, match=f"{MAX_BOXES + 1} boxes, expected at most {MAX_BOXES}"):
        as_boxes(np.tile([0, 0, 9, 9], (MAX_BOXES + 1, 1)), "xyxy", (10, 10))
