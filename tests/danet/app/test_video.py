from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from danet.app import video
from danet.app.engines import Engines
from danet.app.video import POSES_NAME, VIDEO_NAME, UploadedVideo, VideoProgress, annotate_video
from danet.detectors.base import CallableDetector
from danet.errors import InputError, SourceError

pytest.importorskip("av", reason="H.264 needs PyAV: pip install 'danet-edge[video]'")


def _annotate(engines: Engines, clip: Path, folder: Path, *, everywhere: bool = False) -> list[VideoProgress]:
    detector = CallableDetector(lambda _: [[0, 0, 160, 192]]) if everywhere else None
    with engines.estimator("danet72", "openvino") as estimator:
        return list(annotate_video(clip, folder, estimator, detector, threshold=0.1, boxes=True))


def _frames(path: Path) -> list[np.ndarray]:
    capture, frames = cv2.VideoCapture(str(path)), []
    while (read := capture.read())[0]:
        frames.append(np.asarray(read[1]))
    return frames


def test_annotated_video_and_json_lines(engines: Engines, clip: Path, tmp_path: Path) -> None:
    steps = _annotate(engines, clip, tmp_path, everywhere=True)
    assert (steps[-1].frames, steps[-1].total, steps[-1].note) == (12, 12, "")
    assert steps[-1].fps > 0
    lines = [json.loads(line) for line in (tmp_path / POSES_NAME).read_text().splitlines()]
    assert [line["frame"] for line in lines] == list(range(12))
    np.testing.assert_allclose([line["time_s"] for line in lines], np.arange(12) / 10, atol=0.01)
    assert {person["id"] for line in lines for person in line["persons"]} == {1}
    drawn, plain = _frames(tmp_path / VIDEO_NAME), _frames(clip)
    assert [frame.shape for frame in drawn] == [(192, 160, 3)] * 12
    # compression changes all pixels a little, drawing changes some of them much
    assert (np.abs(drawn[-1].astype(int) - plain[-1]).max(2) > 80).sum() > 50


def test_progress_on_the_way(engines: Engines, clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(video, "TOLD_EVERY_S", 0.0)
    steps = _annotate(engines, clip, tmp_path)
    assert [step.frames for step in steps] == [*range(1, 13), 12]
    assert steps[5].total == 12
    assert steps[5].seconds_left == pytest.approx(6 / steps[5].fps)


def test_long_videos_end_early(engines: Engines, clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(video, "MOST_FRAMES", 5)
    (last,) = _annotate(engines, clip, tmp_path)[-1:]
    assert (last.frames, last.note) == (5, "only the first 5 frames are done; `danet video` does the whole")
    assert len(_frames(tmp_path / VIDEO_NAME)) == 5


def test_a_visitor_who_leaves_early(
    engines: Engines, clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(video, "TOLD_EVERY_S", 0.0)
    with engines.estimator("danet72", "openvino") as estimator:
        steps = annotate_video(clip, tmp_path, estimator, None, threshold=0.2, boxes=False)
        assert next(steps).frames == 1
        steps.close()
    assert [path.name for path in sorted(tmp_path.iterdir())] == [POSES_NAME, VIDEO_NAME]  # closed, nothing beside


def test_a_cut_video_gives_what_there_is(engines: Engines, clip: Path, tmp_path: Path) -> None:
    cut = tmp_path / "cut.avi"
    cut.write_bytes(clip.read_bytes()[: clip.stat().st_size * 2 // 3])
    last = _annotate(engines, cut, tmp_path)[-1]
    assert 0 < last.frames < 12
    assert "cut.avi" in last.note
    assert len((tmp_path / POSES_NAME).read_text().splitlines()) == last.frames


def test_playlists_are_not_followed(engines: Engines, clip: Path, tmp_path: Path) -> None:
    hidden = f"\n #EXTM3U\n#EXT-X-MEDIA-SEQUENCE:0\n#\0\n#EXTINF:10,\nfile://{clip}\n"
    for text in (f"#EXTM3U\n#EXTINF:1,\n{clip}\n", f"ffconcat version 1.0\nfile {clip}\n", "", hidden):
        (tmp_path / "list.mp4").write_text(text)
        with pytest.raises(InputError, match="not a video file"):
            _annotate(engines, tmp_path / "list.mp4", tmp_path)
    (tmp_path / "noise.mp4").write_bytes(bytes(1000))
    with pytest.raises(SourceError, match=r"noise\.mp4"):
        _annotate(engines, tmp_path / "noise.mp4", tmp_path)
    assert not (tmp_path / VIDEO_NAME).exists()


def test_frames_that_are_too_large(
    engines: Engines, clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(video, "MOST_FRAME_PIXELS", 160 * 192 - 1)
    with pytest.raises(InputError, match=r"clip\.avi: 160 x 192 pixels, expected at most 30719"):
        _annotate(engines, clip, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_frames_larger_than_is_stated(clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with UploadedVideo(clip) as source:
        monkeypatch.setattr(video, "MOST_FRAME_PIXELS", 160 * 192 - 1)
        with pytest.raises(InputError, match=r"clip\.avi, frame 0: 160 x 192 pixels"):
            next(iter(source))


def test_a_large_picture_as_a_video(engines: Engines, tmp_path: Path) -> None:
    """Pictures are sources as well, and as such may have 268 million pixels."""
    large = tmp_path / "large.png"
    cv2.imwrite(str(large), np.zeros((10_000, 20_000), np.uint8), [cv2.IMWRITE_PNG_COMPRESSION, 1])
    with pytest.raises(InputError, match="20000 x 10000 pixels"):
        _annotate(engines, large, tmp_path)
