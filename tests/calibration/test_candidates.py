from __future__ import annotations

import json
import shutil
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from danet.errors import InputError
from danet.video import file_source
from danet_calibration.candidates import (
    Candidate,
    Photo,
    VideoFrame,
    dataset_candidates,
    folder_candidates,
    in_reading_order,
    rendered_candidates,
    video_candidates,
)
from danet_calibration.sampling import choose
from danet_evaluation.coco import load_split
from danet_evaluation.rendered import MAX_PERSONS

FRAMES = 20


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clip whose frame n has the grey value 10 n."""
    path = tmp_path_factory.mktemp("video") / "clip.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10, (64, 48))
    if not writer.isOpened():
        pytest.skip("this OpenCV cannot write MJPG")
    for number in range(FRAMES):
        writer.write(np.full((48, 64, 3), 10 * number, np.uint8))
    writer.release()
    return path


def written(path: Path, content: Any) -> Path:
    path.write_text(json.dumps(content))
    return path


def test_data_set_by_its_sources(proven_folder: Path) -> None:
    found = dataset_candidates(load_split(proven_folder, "train"))
    assert {one.source for one in found} == {"source 0", "source 1"}
    assert len(found) == 16


def test_whole_pictures_of_a_folder_without_boxes(proven_folder: Path) -> None:
    found = folder_candidates(proven_folder, None)
    assert len(found) == 16
    assert {one.source for one in found} == {"images"}
    assert all(one.box is None and one.picture.read().shape == (160, 160, 3) for one in found)


def test_boxes_of_a_folder(proven_folder: Path, tmp_path: Path) -> None:
    names = [path.name for path in sorted((proven_folder / "images").iterdir())]
    content: dict[str, Any] = {name: [] for name in names}
    content[names[0]] = [[1, 2, 30, 40], [5, 6, 70, 80]]
    found = folder_candidates(proven_folder, written(tmp_path / "boxes.json", content))
    assert [one.box.tolist() for one in found if one.box is not None] == [[1, 2, 30, 40], [5, 6, 70, 80]]


def test_frames_are_spread_evenly_over_a_video(video: Path) -> None:
    found = video_candidates(video, None, 5)
    frames = [one.picture for one in found]
    assert all(isinstance(frame, VideoFrame) for frame in frames)
    assert [frame.number for frame in frames if isinstance(frame, VideoFrame)] == [0, 5, 10, 14, 19]
    for frame in frames:
        assert abs(float(frame.read().mean()) - 10 * frame.number) < 6  # type: ignore[attr-defined]


@pytest.fixture(scope="module")
def half_rate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clip of 110 frames, of grey value 2 n, at half the rate that it states; its count is an estimate."""
    av = pytest.importorskip("av", reason="an MKV is written by PyAV, the extra `video`")
    path = tmp_path_factory.mktemp("half-rate") / "clip.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.codec_context.time_base = Fraction(1, 25)
        for number in range(110):
            frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 2 * number, np.uint8), format="bgr24")
            frame.pts, frame.time_base = 2 * number, Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    assert cv2.VideoCapture(str(path)).get(cv2.CAP_PROP_FRAME_COUNT) > 190
    return path


def shown(candidate: Candidate) -> float:
    """The number of the frame that was read."""
    return float(candidate.picture.read().mean()) / 2


def test_frames_are_spread_over_the_time_where_the_count_is_an_estimate(half_rate: Path) -> None:
    numbers = [shown(one) for one in video_candidates(half_rate, None, 7)]
    # where OpenCV goes to is some fifteen frames off
    assert numbers == pytest.approx(np.linspace(0, 109, 7).tolist(), abs=18)
    assert numbers[-1] > 100


def test_boxes_are_of_the_frames_that_are_counted(half_rate: Path, tmp_path: Path) -> None:
    content = {str(number): [[0, 0, 9, 10 + number]] for number in (3, 60, 61, 100, 109, 150)}
    found = video_candidates(half_rate, written(tmp_path / "boxes.json", content), 100)
    assert len(found) == 5  # there is no frame 150
    for chosen in (found[::-1], in_reading_order(choose(found, 5, seed=1))):
        for one in chosen:
            assert one.box is not None
            assert shown(one) == pytest.approx(one.box[3] - 10, abs=2)


def test_a_counted_video_is_decoded_once_in_its_order(
    half_rate: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = {str(number): [[0, 0, 9, 9], [0, 0, 8, 8]] for number in range(30)}
    found = video_candidates(half_rate, written(tmp_path / "boxes.json", content), 100)
    ordered = in_reading_order(choose(found, 60, seed=1))
    assert [one.picture.number for one in ordered] == [number // 2 for number in range(60)]  # type: ignore[attr-defined]
    opened: list[Path] = []
    open_file = file_source.open_file
    monkeypatch.setattr(file_source, "open_file", lambda path: opened.append(path) or open_file(path))
    assert [shown(one) for one in ordered] == pytest.approx(
        [number // 2 for number in range(60)], abs=4
    )  # MPEG-4's greys lag
    assert len(opened) <= 1  # two persons of a frame do not begin anew


def test_boxes_of_a_video(video: Path, tmp_path: Path) -> None:
    boxes = written(
        tmp_path / "boxes.json", {"3": [[1, 1, 9, 9]], "7": [[0, 0, 9, 9], [2, 2, 8, 8]], "99": [[0, 0, 1, 1]]}
    )
    found = video_candidates(video, boxes, 100)
    assert [(one.picture.number, one.box.tolist()) for one in found if one.box is not None] == [  # type: ignore[attr-defined]
        (3, [1, 1, 9, 9]),
        (7, [0, 0, 9, 9]),
        (7, [2, 2, 8, 8]),
    ]


def test_a_video_without_a_stated_count_is_counted(tmp_path: Path) -> None:
    path = tmp_path / "raw.mjpeg"
    pictures = [cv2.imencode(".jpg", np.full((48, 64, 3), 10 * number, np.uint8))[1] for number in range(FRAMES)]
    path.write_bytes(b"".join(picture.tobytes() for picture in pictures))
    found = video_candidates(path, None, 5)
    assert all(one.box is None for one in found)
    assert [shown(one) / 5 for one in found] == pytest.approx([0, 5, 10, 14, 19], abs=0.5)


def test_a_relative_name_with_a_colon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "2026-11-28T10:00:00.mp4"
    writer = cv2.VideoWriter(str(tmp_path / "clip.mp4"), cv2.VideoWriter.fourcc(*"mp4v"), 10, (64, 48))
    if not writer.isOpened():
        pytest.skip("this OpenCV cannot write MP4")
    for _ in range(3):
        writer.write(np.full((48, 64, 3), 100, np.uint8))
    writer.release()
    (tmp_path / "clip.mp4").rename(path)
    monkeypatch.chdir(tmp_path)
    found = video_candidates(Path(path.name), None, 5)
    assert [shown(one) for one in found] == pytest.approx([50] * 3, abs=2)


def test_folders_named_as_pictures_and_what_macos_leaves_are_no_pictures(portrait: Path, tmp_path: Path) -> None:
    (tmp_path / "x.jpg").mkdir()
    shutil.copy(portrait, tmp_path / "x.jpg" / "a.jpg")
    (tmp_path / "x.jpg" / "._a.jpg").write_bytes(b"\0\5\x16\7")
    assert [one.picture for one in folder_candidates(tmp_path, None)] == [Photo(tmp_path / "x.jpg" / "a.jpg")]


@pytest.mark.parametrize("content", [None, {"a.png": None}])
def test_null_is_neither_boxes_nor_the_whole_picture(content: Any, tmp_path: Path) -> None:
    (tmp_path / "a.png").touch()
    with pytest.raises(InputError, match=r"null.*expected a list"):
        folder_candidates(tmp_path, written(tmp_path / "boxes.json", content))


def test_frame_numbers_may_be_padded(video: Path, tmp_path: Path) -> None:
    boxes = written(tmp_path / "boxes.json", {"0003": [[1, 1, 9, 9]], "12": [[2, 2, 8, 8]]})
    found = video_candidates(video, boxes, 100)
    assert [(one.picture.number, one.box.tolist()) for one in found if one.box is not None] == [  # type: ignore[attr-defined]
        (3, [1, 1, 9, 9]),
        (12, [2, 2, 8, 8]),
    ]
    twice = written(tmp_path / "twice.json", {"3": [[1, 1, 9, 9]], "003": [[2, 2, 8, 8]]})
    with pytest.raises(InputError, match="1 frames have two entries, such as 7 and 007"):
        video_candidates(video, twice, 100)


def test_what_cannot_be_used_is_refused(video: Path, tmp_path: Path) -> None:
    (tmp_path / "text.mp4").write_text("no video")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="not a video file that OpenCV can decode"):
        video_candidates(tmp_path / "text.mp4", None, 5)
    with pytest.raises(InputError, match="no pictures"):
        folder_candidates(tmp_path / "empty", None)
    with pytest.raises(InputError, match="no frame number below 20"):
        video_candidates(video, written(tmp_path / "boxes.json", {"40": [[0, 0, 1, 1]]}), 5)
    with pytest.raises(InputError, match="frame 500 cannot be decoded"):
        VideoFrame(video, 500).read()


def test_rendered_scenes_have_as_many_persons_as_the_evaluator_s() -> None:
    found = rendered_candidates(30, seed=0)
    assert {candidate.source for candidate in found} == {f"{count} rendered" for count in range(1, MAX_PERSONS + 1)}
    assert [candidate.source for candidate in rendered_candidates(30, seed=0)] == [one.source for one in found]
