"""Poses on a video that a visitor uploads: an annotated copy, and JSON Lines."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2

from danet.detectors.base import Detector
from danet.errors import InputError, SourceError
from danet.estimator import PoseEstimator
from danet.tracking.tracker import Tracker
from danet.video.container import is_playlist
from danet.video.file_source import FileSource
from danet.video.frame import Frame
from danet.video.json_lines import JsonLinesWriter
from danet.video.opencv_capture import open_file
from danet.video.pipeline import PosePipeline
from danet.video.video_writer import VideoWriter

VIDEO_NAME, POSES_NAME = "poses.mp4", "poses.jsonl"
"""Files of the result."""
MOST_FRAMES = 18_000
"""Ten minutes at 30 frames per second; others wait meanwhile."""
MOST_FRAME_PIXELS = 8192 * 4320
"""8K, which takes 3 GB, most of it in the encoder; a file of a megabyte may unpack to frames of any size."""
TOLD_EVERY_S = 0.5
FALLBACK_FPS = 25.0
"""For a video that does not state its rate."""


class UploadedVideo(FileSource):
    """A video file whose frames have at most `MOST_FRAME_PIXELS`.

    Raises:
        SourceError: no such file, or not a video.
        InputError: it states larger frames.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        try:
            _refuse_large(*_stated_size(path), str(path))
        except InputError:
            self.close()
            raise

    def __iter__(self) -> Iterator[Frame]:
        """The frames in order.

        Raises:
            SourceError: see `FileSource`.
            InputError: one is larger: a file need not keep to what it states, and not every OpenCV scales frames to it.
        """
        for frame in super().__iter__():
            height, width = frame.image.shape[:2]
            _refuse_large(width, height, f"{self.name}, frame {frame.index}")
            yield frame


def _stated_size(path: Path) -> tuple[int, int]:
    """Width and height in pixels; 0 where the file states none."""
    capture = open_file(str(path.absolute()))
    if capture is None:
        return 0, 0
    try:
        return int(capture.get(cv2.CAP_PROP_FRAME_WIDTH)), int(capture.get(cv2.CAP_PROP_FRAME_HEIGHT))
    finally:
        capture.release()


def _refuse_large(width: int, height: int, name: str) -> None:
    if width * height > MOST_FRAME_PIXELS:
        raise InputError(
            f"{name}: {width} x {height} pixels, expected at most {MOST_FRAME_PIXELS} (8K); make it smaller first"
        )


@dataclass(frozen=True)
class VideoProgress:
    """How far the work on a video is."""

    frames: int
    """Done so far."""
    total: int | None
    """As the video states it; None where it does not."""
    fps: float
    """Frames per second, everything included: reading, detector, poses, drawing, writing."""
    note: str = ""
    """What was wrong though there is a result; empty until the end."""

    @property
    def seconds_left(self) -> float | None:
        """Until the end at this rate; None where unknown."""
        return (self.total - self.frames) / self.fps if self.total and self.fps else None


def annotate_video(
    path: Path,
    folder: Path,
    estimator: PoseEstimator,
    detector: Detector | None,
    *,
    threshold: float,
    boxes: bool,
) -> Generator[VideoProgress]:
    """Write `VIDEO_NAME` and `POSES_NAME` into a folder; gives the progress about twice a second and at the end.

    The files are whole when the iteration has ended.

    Args:
        path: the video.
        folder: exists.
        estimator: of the poses.
        detector: of the persons, who are followed then; None: each whole frame is one person.
        threshold: lowest keypoint score drawn.
        boxes: draw boxes as well.

    Raises:
        InputError: no video file, or frames of more than `MOST_FRAME_PIXELS`.
        SourceError: the video cannot be read; one that breaks off ends there, with a note.
        DetectorError: the detector failed.
        BackendError: the network failed.
        OSError: the files cannot be written.
    """
    refuse_playlist(path)
    tracker = None if detector is None else Tracker()
    with PosePipeline(UploadedVideo(path), estimator, detector, tracker) as pipeline:
        total = _expected(pipeline.source.frames)
        with (
            VideoWriter(folder / VIDEO_NAME, fps=pipeline.source.fps or FALLBACK_FPS) as video,
            JsonLinesWriter(folder / POSES_NAME) as lines,
        ):
            told, note = time.monotonic(), ""
            try:
                for result in pipeline:
                    video.write(result.draw(threshold=threshold, boxes=boxes), result.frame.time_s)
                    lines.write(result)
                    if video.frames == MOST_FRAMES:
                        note = f"only the first {MOST_FRAMES} frames are done; `danet video` does the whole"
                        break
                    if time.monotonic() - told > TOLD_EVERY_S:
                        told = time.monotonic()
                        yield VideoProgress(video.frames, total, pipeline.stats.fps)
            except SourceError as error:
                if not video.frames:
                    raise
                note = str(error)
        note = note or "; ".join(getattr(pipeline.source, "notes", ()))
        stats = pipeline.stats
        yield VideoProgress(stats.frames, stats.frames, stats.frames / max(stats.elapsed_s, 1e-9), note)


def _expected(stated: int | None) -> int | None:
    return None if stated is None else min(stated, MOST_FRAMES)


def refuse_playlist(path: Path) -> None:
    """Refuse text: FFmpeg would follow a playlist to other files and addresses.

    Raises:
        InputError: no container of video, all of which have zero bytes at their beginning; or it cannot be read.
    """
    try:
        with path.open("rb") as file:
            beginning = file.read(4096)
        playlist = b"\0" not in beginning or is_playlist(path)
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}") from error
    if playlist:
        raise InputError(f"{path}: not a video file; expected MP4, MOV, MKV, WebM or AVI")
