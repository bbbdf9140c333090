from __future__ import annotations

import re
import struct
import zlib
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from danet.detectors.base import Detections
from danet.errors import InputError
from danet.frame import as_bgr, as_boxes, outside, read_picture

PICTURE = np.random.default_rng(0).integers(0, 256, (30, 40, 3), np.uint8)


# frames


def test_bgr_is_taken_as_it_is() -> None:
    np.testing.assert_array_equal(as_bgr(PICTURE), PICTURE)


def test_alpha_is_dropped() -> None:
    bgra = np.dstack((PICTURE, np.zeros((30, 40), np.uint8)))
    np.testing.assert_array_equal(as_bgr(bgra), PICTURE)


@pytest.mark.parametrize("shape", [(30, 40), (30, 40, 1)])
def test_grey_becomes_three_equal_channels(shape: tuple[int, ...]) -> None:
    grey = PICTURE[:, :, 0]
    np.testing.assert_array_equal(as_bgr(grey.reshape(shape)), np.stack((grey,) * 3, axis=2))


@pytest.mark.parametrize(
    "layout",
    [
        PICTURE[::-1, ::-1],
        PICTURE[:, :, ::-1],
        PICTURE[::2, 1::3],
        np.asfortranarray(PICTURE),
        PICTURE.transpose(1, 0, 2),
        PICTURE[::2, ::2, 1],
        PICTURE[:1, :1],
        np.broadcast_to(np.uint8(3), (5, 6, 3)),
    ],
)
def test_any_memory_layout(layout: NDArray[np.uint8]) -> None:
    result = as_bgr(layout)
    assert result.flags.c_contiguous
    assert result.dtype == np.uint8
    expected = layout if layout.ndim == 3 else np.repeat(layout[:, :, None], 3, axis=2)
    np.testing.assert_array_equal(result, expected)


@pytest.mark.needs("PIL")
@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA", "P"])
def test_pictures_of_pillow_are_not_taken_for_bgr(mode: str) -> None:
    from PIL import Image

    picture = Image.fromarray(PICTURE[..., ::-1]).convert(mode)
    with pytest.raises(InputError, match=r"a picture of Pillow, expected .*BGR; pass np\.asarray"):
        as_bgr(picture)
    if mode == "RGB":
        np.testing.assert_array_equal(as_bgr(np.asarray(picture.convert("RGB"))[..., ::-1]), PICTURE)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.uint16, np.int8, np.int64, bool, np.complex64])
def test_other_dtypes_are_named(dtype: Any) -> None:
    with pytest.raises(InputError, match=rf"dtype {np.dtype(dtype)}.*expected uint8"):
        as_bgr(np.zeros((4, 4, 3), dtype))


@pytest.mark.parametrize("shape", [(4,), (4, 4, 2), (4, 4, 5), (1, 4, 4, 3), (3, 40, 30), ()])
def test_other_shapes_are_named(shape: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match=rf"shape {re.escape(str(shape))}, expected \(H, W, 3\)"):
        as_bgr(np.zeros(shape, np.uint8))


@pytest.mark.parametrize("shape", [(0, 4, 3), (4, 0, 3), (0, 0), (4, 0, 1), (0, 4, 4)])
def test_frames_without_pixels(shape: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match="no pixels"):
        as_bgr(np.zeros(shape, np.uint8))


NO_TEXT = np.frombuffer(b"\x02\x65\xcb\xb1", "U1").reshape(())
"""A code point beyond Unicode's, of which NumPy makes no string."""


@pytest.mark.parametrize("junk", [None, "portrait.jpg", [[1, 2], [3]], object(), {}, [[1.5, 2.5]], b"bytes", NO_TEXT])
def test_what_is_no_picture(junk: Any) -> None:
    with pytest.raises(InputError, match=r"^frame of .*uint8"):
        as_bgr(junk)


@pytest.mark.parametrize(
    "path", ["photo.jpg", Path("photo.jpg"), np.asarray("photo.jpg"), np.asarray(Path("photo.jpg"))]
)
def test_a_path_is_told_how_to_be_read(path: Any) -> None:
    """`stream` makes an array of what it is given before it is looked at."""
    with pytest.raises(
        InputError, match=r"^frame of 'photo\.jpg', a path, expected the picture itself.*cv2\.imread"
    ) as told:
        as_bgr(path)
    assert "255" not in str(told.value)


# boxes

SIZE = (480, 640)


@pytest.mark.parametrize(
    "boxes",
    [
        [[10, 20, 110, 220]],
        [(10, 20, 110, 220)],
        ((10.0, 20.0, 110.0, 220.0),),
        np.array([[10, 20, 110, 220]]),
        np.array([[10, 20, 110, 220]], np.float32),
        np.array([[10, 20, 110, 220]], np.uint16),
        np.array([[10, 20, 110, 220]], np.float16).astype(">f8"),
        np.array([[10, 20, 110, 220]], object),
        [np.array([10, 20, 110, 220])],
    ],
)
def test_anything_that_is_four_numbers(boxes: Any) -> None:
    result = as_boxes(boxes, "xyxy", SIZE)
    assert result.dtype == np.float64
    np.testing.assert_array_equal(result, [[10, 20, 110, 220]])


def test_formats() -> None:
    expected = [[10, 20, 40, 80], [1, 2, 3, 6]]
    np.testing.assert_array_equal(as_boxes([[10, 20, 40, 80], [1, 2, 3, 6]], "xyxy", SIZE), expected)
    np.testing.assert_array_equal(as_boxes([[10, 20, 30, 60], [1, 2, 2, 4]], "xywh", SIZE), expected)
    np.testing.assert_array_equal(as_boxes([[25, 50, 30, 60], [2, 4, 2, 4]], "cxcywh", SIZE), expected)


def test_unsigned_boxes_do_not_wrap() -> None:
    boxes = np.array([[3, 4, 100, 200]], np.uint8)
    np.testing.assert_array_equal(as_boxes(boxes, "cxcywh", SIZE), [[-47, -96, 53, 104]])


@pytest.mark.parametrize("boxes", [[], (), np.empty((0, 4)), np.empty((0, 4), np.float32), np.empty(0)])
@pytest.mark.parametrize("box_format", ["xyxy", "xywh", "cxcywh"])
def test_no_boxes(boxes: Any, box_format: Any) -> None:
    assert as_boxes(boxes, box_format, SIZE).shape == (0, 4)


@pytest.mark.parametrize("box_format", ["xyxy", "xywh", "cxcywh"])
def test_none_is_the_whole_frame(box_format: Any) -> None:
    np.testing.assert_array_equal(as_boxes(None, box_format, SIZE), [[0, 0, 640, 480]])


def test_the_callers_boxes_are_not_changed() -> None:
    boxes = np.array([[1.0, 2, 30, 40]])
    for box_format in ("xyxy", "xywh", "cxcywh"):
        as_boxes(boxes, box_format, SIZE)  # type: ignore[arg-type]
    np.testing.assert_array_equal(boxes, [[1, 2, 30, 40]])


@pytest.mark.parametrize(
    ("boxes", "shape"),
    [
        ([1, 2, 3, 4], "(4,)"),
        ([[1, 2, 3]], "(1, 3)"),
        ([[1, 2, 3, 4, 5]], "(1, 5)"),
        ([[[1, 2, 3, 4]]], "(1, 1, 4)"),
        (5, "()"),
        ([[]], "(1, 0)"),
        (np.empty((5, 0)), "(5, 0)"),
    ],
)
def test_wrong_shapes_are_named(boxes: Any, shape: str) -> None:
    with pytest.raises(InputError, match=rf"shape {re.escape(shape)}, expected \(N, 4\) xyxy"):
        as_boxes(boxes, "xyxy", SIZE)


@pytest.mark.parametrize("columns", [5, 6])
def test_detections_with_scores(columns: int) -> None:
    detections = np.array([[10, 20, 110, 220, 0.9, 0]])[:, :columns]
    with pytest.raises(InputError, match=rf"shape \(1, {columns}\).*take boxes\[:, :4\]"):
        as_boxes(detections, "xyxy", SIZE)
    with pytest.raises(InputError, match=r"shape \(1, 7\).*one box is"):
        as_boxes(np.zeros((1, 7)), "xyxy", SIZE)


@pytest.mark.parametrize(
    "boxes",
    [
        "abc",
        [["1", "2", "3", "4"]],
        [[b"1", b"2", b"3", b"4"]],
        [["a"] * 4],
        [[1, 2, 3, 4], [1, 2]],
        object(),
        {},
        {1, 2},
        [[10**400] * 4],
        [[1 + 1j, 2, 3, 4]],
        np.array([[1, 2, 3, 4]], "datetime64[s]"),
        [[False, False, True, True]],
        np.array([["1", "2", "30", "40"]], object),
        np.array([[True, False, 30, 40]], object),
    ],
)
@pytest.mark.parametrize("box_format", ["xyxy", "xywh"])
def test_what_is_no_number(boxes: Any, box_format: Any) -> None:
    with pytest.raises(InputError, match=r"boxes are not an \(N, 4\) array of numbers"):
        as_boxes(boxes, box_format, SIZE)


GOOD = [0, 0, 9, 9]


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, None])
@pytest.mark.parametrize("position", range(4))
@pytest.mark.parametrize("box_format", ["xyxy", "xywh", "cxcywh"])
def test_nan_and_infinity_name_the_box(value: float | None, position: int, box_format: Any) -> None:
    bad: list[float | None] = [1, 2, 3, 4]
    bad[position] = value
    with pytest.raises(InputError, match=r"^box 1 is .*(nan|inf).*expected finite numbers"):
        as_boxes([GOOD, bad, GOOD], box_format, SIZE)


@pytest.mark.parametrize("bad", [[np.inf, 0, -np.inf, 5], [1e308, 0, 1e308, 5], [-1e308, 0, 1.7e308, 5]])
@pytest.mark.parametrize("box_format", ["xyxy", "xywh", "cxcywh"])
def test_numbers_that_overflow(bad: list[float], box_format: Any) -> None:
    with pytest.raises(InputError, match=r"^box 0 is"):
        as_boxes([bad], box_format, SIZE)


@pytest.mark.parametrize(
    ("box", "box_format"),
    [
        ([5, 5, 5, 9], "xyxy"),
        ([5, 5, 9, 5], "xyxy"),
        ([9, 5, 5, 9], "xyxy"),
        ([5, 5, 0, 9], "xywh"),
        ([5, 5, 9, -1], "xywh"),
        ([5, 5, -1, 9], "cxcywh"),
        ([5, 5, 9, 0], "cxcywh"),
        ([100, 5, 1e-20, 9], "xywh"),
    ],
)
def test_a_side_must_be_above_zero(box: list[float], box_format: Any) -> None:
    with pytest.raises(InputError, match=rf"^box 2 is .*expected a width and height above 0 in {box_format}"):
        as_boxes([[1, 1, 2, 2], [1, 1, 2, 2], box], box_format, SIZE)


@pytest.mark.parametrize("side", [1e-4, 1e-200, 1e-320])
def test_a_side_too_small_to_crop(side: float) -> None:
    with pytest.raises(InputError, match=r"^box 0 is .*at least 0\.001 pixels"):
        as_boxes([[0, 0, side, 9]], "xyxy", SIZE)


@pytest.mark.parametrize("box", [[0, 0, 1_000_001, 5], [-1_000_001, 0, 5, 5], [0, 1e9, 5, 2e9], [0, -1e300, 5, 5]])
def test_coordinates_beyond_a_million(box: list[float]) -> None:
    with pytest.raises(InputError, match=r"^box 0 is .*within 1000000 pixels"):
        as_boxes([box], "xyxy", SIZE)


def test_extreme_boxes_that_pass() -> None:
    boxes = [[-1_000_000, -1_000_000, 1_000_000, 1_000_000], [5, 5, 5.01, 5.01], [-900, -900, -800, -800]]
    np.testing.assert_array_equal(as_boxes(boxes, "xyxy", SIZE), boxes)


def test_an_unknown_format() -> None:
    with pytest.raises(InputError, match="'yxyx', expected one of xyxy, xywh, cxcywh"):
        as_boxes([GOOD], "yxyx", SIZE)  # type: ignore[arg-type]


@given(
    hnp.arrays(
        st.sampled_from([np.float64, np.float32, np.int64, np.uint8]),
        hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=5),
    ),
    st.sampled_from(["xyxy", "xywh", "cxcywh"]),
)
@settings(deadline=None, max_examples=200)
def test_any_array_gives_usable_boxes_or_an_input_error(boxes: NDArray[Any], box_format: Any) -> None:
    try:
        result = as_boxes(boxes, box_format, SIZE)
    except InputError:
        return
    assert result.shape == (len(boxes), 4)
    assert np.isfinite(result).all()
    assert (result[:, 2:] > result[:, :2]).all()
    assert (np.abs(result) <= 1e6).all()


def test_outside() -> None:
    boxes = np.array(
        [
            [0, 0, 640, 480],
            [-10, -10, 0, 0],  # touches the corner
            [-10, -10, 0.5, 0.5],
            [640, 0, 650, 10],
            [639.5, 479.5, 700, 700],
            [0, 480, 10, 490],
            [100, -50, 120, -1],
            [-5, 100, -1, 200],
            [-5, -5, 700, 500],
        ],
        np.float64,
    )
    assert outside(boxes, SIZE).tolist() == [False, True, False, True, False, True, True, True, False]


# picture files


def encoded(suffix: str, picture: NDArray[np.uint8] = PICTURE) -> bytes:
    written, data = cv2.imencode(suffix, picture)
    assert written
    return data.tobytes()


def png_claiming(width: int, height: int) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


def turned_jpeg(picture: NDArray[np.uint8], orientation: int) -> bytes:
    """A JPEG with an EXIF segment that holds the orientation tag alone."""
    tiff = b"II*\0" + struct.pack("<I", 8) + struct.pack("<HHHIHHI", 1, 0x0112, 3, 1, orientation, 0, 0)
    segment = b"Exif\0\0" + tiff
    jpeg = encoded(".jpg", picture)
    return jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(segment) + 2) + segment + jpeg[2:]


def test_a_picture_comes_back_in_bgr(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(encoded(".png"))
    np.testing.assert_array_equal(read_picture(path), PICTURE)


def test_names_beyond_ascii(tmp_path: Path) -> None:
    path = tmp_path / "Füße 写真.png"
    path.write_bytes(encoded(".png"))
    np.testing.assert_array_equal(read_picture(path), PICTURE)


@pytest.mark.parametrize("kind", ["grey", "alpha", "16 bits"])
def test_other_pixel_formats_become_bgr(kind: str, tmp_path: Path) -> None:
    made: dict[str, NDArray[Any]] = {
        "grey": PICTURE[:, :, 0],
        "alpha": np.dstack((PICTURE, PICTURE[:, :, :1])),
        "16 bits": PICTURE.astype(np.uint16) * 257,
    }
    path = tmp_path / "a.png"
    path.write_bytes(encoded(".png", made[kind]))
    result = read_picture(path)
    assert result.dtype == np.uint8
    expected = np.repeat(PICTURE[:, :, :1], 3, axis=2) if kind == "grey" else PICTURE
    np.testing.assert_array_equal(result, expected)


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_exif_turns_the_picture_upright(orientation: int, tmp_path: Path) -> None:
    stored = np.zeros((32, 64, 3), np.uint8)
    stored[:, :32] = (255, 0, 0)  # the left half is blue
    path = tmp_path / "turned.jpg"
    path.write_bytes(turned_jpeg(stored, orientation))
    # viewers turn 3 by half, 6 a quarter clockwise and 8 a quarter counterclockwise
    expected = np.rot90(stored, {1: 0, 3: 2, 6: 3, 8: 1}[orientation])
    result = read_picture(path)
    assert result.shape == expected.shape
    assert np.abs(result.astype(int) - expected).mean() < 8


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.png: No such file"):
        read_picture(tmp_path / "none.png")


def test_a_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=rf"{re.escape(str(tmp_path))}: "):
        read_picture(tmp_path)


def test_a_path_with_a_null_character() -> None:
    with pytest.raises(InputError, match="null"):
        read_picture(Path("a\0b.png"))


JUNK = {
    "empty": b"",
    "one byte": b"\x89",
    "text": b"not a picture\n" * 20,
    "PNG signature": b"\x89PNG\r\n\x1a\n",
    "PNG of 100000 x 100000": png_claiming(100_000, 100_000),
    "PNG of 2^31 x 2^31": png_claiming(2**31 - 1, 2**31 - 1),
    "PNG of 0 x 0": png_claiming(0, 0),
    "BMP of 100000 x 100000": b"BM" + struct.pack("<IIIIiiHH", 10**9, 0, 54, 40, 10**5, 10**5, 1, 24) + bytes(24),
    "BMP of negative width": b"BM" + struct.pack("<IIIIiiHH", 10**3, 0, 54, 40, -5, 5, 1, 24) + bytes(24),
    "PPM of 100000 x 100000": b"P6 100000 100000 255\n123",
    "PPM of negative size": b"P6 -1 5 255\n",
    "TIFF": b"II*\0\x08\0\0\0\xff\xff" + bytes(50),
    "GIF": b"GIF89a\xff\xff\xff\xff\0\0\0," + bytes(40),
    "HDR": b"#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n\n-Y 100000 +X 100000\n",
    "WebP": b"RIFF\x10\0\0\0WEBPVP8 " + bytes(30),
    "EXR": b"v/1\x01\x02\0\0\0" + bytes(40),
    "Sun raster": b"\x59\xa6\x6a\x95" + struct.pack(">7I", 10**5, 10**5, 24, 0, 1, 0, 0),
}


@pytest.mark.parametrize("name", JUNK)
def test_junk_is_refused_by_name(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And leaves no copy behind, where OpenCV puts its temporary files (it does not look at TMPDIR)."""
    path, temporary = tmp_path / "junk.png", tmp_path / "temporary"
    path.write_bytes(JUNK[name])
    temporary.mkdir()
    monkeypatch.setenv("OPENCV_TEMP_PATH", str(temporary))
    with pytest.raises(InputError, match=r"junk\.png: "):
        read_picture(path)
    assert not list(temporary.iterdir())


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (b"#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n\n-Y 1 +X 2\n" + bytes(8), "Radiance HDR"),
        (b"#?RGBE\nFORMAT=32-bit_rle_rgbe\n\n-Y 1 +X 2\n" + bytes(8), "Radiance HDR"),
        (b"v/1\x01\x02\0\0\0" + bytes(40), "OpenEXR"),
        (b"PF\n2 1\n-1.0\n" + bytes(24), "PFM"),
        (b"Pf\n2 1\n-1.0\n" + bytes(8), "PFM"),
        (b"\x59\xa6\x6a\x95" + struct.pack(">7I", 2, 1, 24, 6, 1, 0, 0) + bytes(6), "Sun raster"),
    ],
)
def test_formats_that_need_a_temporary_file_are_refused(data: bytes, name: str, tmp_path: Path) -> None:
    """Whole pictures as well: where one stays in memory OpenCV's versions differ."""
    path = tmp_path / "a.png"
    path.write_bytes(data)
    with pytest.raises(InputError, match=rf"a\.png: a picture in {name}, which is not read here; convert it"):
        read_picture(path)


@pytest.mark.parametrize(
    "suffix", [".png", ".jpg", ".webp", ".bmp", ".tiff", ".gif", ".avif", ".jp2", ".ppm", ".pgm", ".pbm", ".pam"]
)
def test_no_temporary_file_is_needed(suffix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    picture = np.zeros((32, 64) if suffix in (".pgm", ".pbm") else (32, 64, 3), np.uint8)
    try:
        path = tmp_path / f"a{suffix}"
        path.write_bytes(encoded(suffix, picture))
    except cv2.error:
        pytest.skip(f"this OpenCV writes no {suffix}")
    monkeypatch.setenv("OPENCV_TEMP_PATH", str(tmp_path / "absent"))
    assert read_picture(path).shape == (32, 64, 3)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".bmp", ".webp", ".tiff"])
@pytest.mark.parametrize("part", [0.01, 0.1, 0.5, 0.95])
def test_truncated_pictures(suffix: str, part: float, tmp_path: Path) -> None:
    """OpenCV shows what it has of some formats; what must not happen is an error of its own."""
    data = encoded(suffix)
    path = tmp_path / f"cut{suffix}"
    path.write_bytes(data[: int(len(data) * part)])
    try:
        result = read_picture(path)
    except InputError:
        return
    assert result.shape == PICTURE.shape


@given(st.sampled_from([".png", ".jpg", ".bmp", ".webp", ".tiff"]), st.data())
@settings(deadline=None, max_examples=60)
def test_damaged_pictures(tmp_path_factory: pytest.TempPathFactory, suffix: str, data: st.DataObject) -> None:
    content = bytearray(encoded(suffix, PICTURE[:8, :8]))
    for _ in range(data.draw(st.integers(1, 6))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.getbasetemp() / f"damaged{suffix}"
    path.write_bytes(content)
    try:
        result = read_picture(path)
    except InputError:
        return
    assert result.ndim == 3
    assert result.dtype == np.uint8


def test_pictures_by_text_and_by_path(tmp_path: Path) -> None:
    path = tmp_path / "grey.png"
    cv2.imwrite(str(path), np.full((3, 4), 7, np.uint8))
    assert (read_picture(str(path)) == read_picture(path)).all()
    with pytest.raises(InputError, match=r"none\.png: No such file"):
        read_picture(str(tmp_path / "none.png"))


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (b"\xff\xd8jpeg", r"a file's content, expected the picture, .* cv2\.imdecode\(np\.frombuffer"),
        (bytearray(b"jpeg"), r"frame of bytearray, a file's content"),
        (cv2.UMat(np.zeros((3, 4, 3), np.uint8)), r"UMat, expected .*pass frame\.get\(\)"),
    ],
)
def test_what_holds_a_picture_and_is_none(frame: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        as_bgr(frame)


def test_a_view_of_a_picture_is_one() -> None:
    picture = np.arange(36, dtype=np.uint8).reshape(3, 4, 3)
    assert (as_bgr(memoryview(picture)) == picture).all()


def test_the_answer_of_a_detector_is_more_than_boxes() -> None:
    found = Detections(np.array([[1, 2, 3, 4]], np.float32), np.ones(1, np.float32))
    with pytest.raises(InputError, match=r"boxes of type Detections, .*; pass its \.boxes"):
        as_boxes(found, "xyxy", (9, 9))
    assert as_boxes(found.boxes, "xyxy", (9, 9)).tolist() == [[1, 2, 3, 4]]
