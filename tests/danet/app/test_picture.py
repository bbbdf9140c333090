from __future__ import annotations

import base64
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("PIL", reason="pictures that browsers upload need Pillow: pip install 'danet-edge[app]'")

from danet.app.choices import HOG, WHOLE_PICTURE
from danet.app.engines import Engines
from danet.app.picture import MOST_PIXELS, as_data_url, find_poses, read_data_url, read_upload
from danet.detectors.base import CallableDetector
from danet.embedded import PORTRAIT_BOX
from danet.errors import BackendError, InputError
from danet.frame import read_picture


def test_the_same_as_an_estimator_gives(engines: Engines, portrait: Path) -> None:
    picture = read_upload(portrait)
    np.testing.assert_array_equal(picture, read_picture(portrait))
    with engines.estimator("danet72", "openvino") as estimator, engines.detector(WHOLE_PICTURE) as nobody:
        assert nobody is None
        whole = find_poses(picture, estimator, nobody)
        boxed = find_poses(picture, estimator, CallableDetector(lambda _: [PORTRAIT_BOX]))
        np.testing.assert_array_equal(whole.poses.keypoints, estimator.infer(picture).keypoints)
        np.testing.assert_array_equal(boxed.poses.keypoints, estimator.infer(picture, [PORTRAIT_BOX]).keypoints)
    assert boxed.seconds > 0
    assert whole.to_dict() == {"width": 512, "height": 512, **whole.poses.to_dict()}
    drawn = boxed.draw(threshold=0.2, boxes=False)
    assert 0.002 < (drawn != picture).any(2).mean() < 0.2
    np.testing.assert_array_equal(boxed.draw(threshold=1.01, boxes=False), picture)  # a sure keypoint has 1.0


def test_nobody_found(engines: Engines) -> None:
    with engines.estimator("danet72", "openvino") as estimator, engines.detector(HOG) as hog:
        assert hog is not None
        assert len(find_poses(np.zeros((200, 200, 3), np.uint8), estimator, hog).poses) == 0


def test_estimators_are_closed_with_the_engines(engines: Engines) -> None:
    own = Engines(engines.choices, threads=1)
    with own.estimator("danet72", "openvino") as estimator:
        own.close()
        assert len(estimator.infer(np.zeros((64, 64, 3), np.uint8))) == 1  # not while it is used
    with pytest.raises(BackendError, match="closed"):
        estimator.infer(np.zeros((64, 64, 3), np.uint8))


def _png(width: int, height: int) -> bytes:
    """A PNG that promises that many pixels and has none."""
    header, data = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0), b"IDAT"
    chunks = (struct.pack(">I", len(part) - 4) + part + struct.pack(">I", zlib.crc32(part)) for part in (header, data))
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def _data_url(content: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(content).decode()}"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not a picture"),
        (b"no picture", "not a picture"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "not a picture"),
        (_png(MOST_PIXELS // 5000 + 1, 5000), "10001 x 5000 pixels, expected at most 50 million"),
        (_png(60_000, 60_000), "decompression bomb"),
        (_png(10, 10), "upload.png"),
    ],
    ids=["empty", "text", "svg", "large", "bomb", "hollow"],
)
@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_uploads_that_cannot_be_used(content: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / "upload.png").write_bytes(content)
    with pytest.raises(InputError, match=message):
        read_upload(tmp_path / "upload.png")


def test_a_webcam_picture_and_back(portrait: Path) -> None:
    picture = read_picture(portrait)
    again = read_data_url(as_data_url(picture))
    assert again.shape == picture.shape
    assert np.abs(again.astype(int) - picture).mean() < 3


@pytest.mark.parametrize(
    ("url", "message"),
    [
        (_data_url(_png(MOST_PIXELS // 5000 + 1, 5000)), "10001 x 5000 pixels, expected at most 50 million"),
        (_data_url(_png(60_000, 60_000)), "decompression bomb"),
        (_data_url(_png(10, 10)), "cannot be read"),
        (_data_url(b"no picture"), "not a picture"),
        ("data:image/png;base64,a*b", "no base64"),
        ("data:image/png;base64,ä", "no base64"),
        ("data:image/svg+xml,<svg/>", "expected data:image/jpeg;base64"),
        ("https://example.com/x.png", "expected data:image/jpeg;base64"),
        ("/etc/passwd", "expected data:image/jpeg;base64"),
    ],
    ids=["large", "bomb", "hollow", "text", "no base64", "no ascii", "svg", "address", "file"],
)
@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_webcam_pictures_that_cannot_be_used(url: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_data_url(url)
