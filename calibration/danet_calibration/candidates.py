"""Where calibration crops may be cut: persons of a data set, boxes on pictures or frames, rendered persons."""

from __future__ import annotations

import bisect
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from danet.commands.pictures import boxes_for, read_boxes
from danet.errors import InputError, SourceError
from danet.frame import as_boxes, read_picture
from danet.scenes.scene import render_scene
from danet.video.container import PLAYLISTS, is_playlist
from danet.video.file_source import FileSource
from danet.video.frame import Frame
from danet.video.opencv_capture import open_file, stated_frames
from danet_evaluation.coco import KeypointDataset, Picture
from danet_evaluation.rendered import FIRST_SEED, FRAME_SIZE, MAX_PERSONS, RenderedPicture

PICTURE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff")
RENDERED_SPAN = 1 << 40
"""Seeds below the evaluator's that calibration draws from, so that no scene is both calibrated and measured on."""


@dataclass(frozen=True, eq=False)
class Candidate:
    """A person that a crop may show."""

    picture: Picture
    box: NDArray[np.float64] | None
    """(4,) float64 xyxy, frame pixels; None: the whole picture."""
    source: str
    """The part of the data that it comes from."""


@dataclass(frozen=True)
class Photo:
    """A picture file, turned upright as viewers show it."""

    path: Path

    def read(self) -> NDArray[np.uint8]:
        """The picture (H, W, 3) uint8 BGR; raises InputError."""
        return read_picture(self.path)


@dataclass(frozen=True)
class VideoFrame:
    """One frame of a video file, by its time: where the rate varies, not the one that is counted so."""

    path: Path
    number: int
    """From 0, by the stated rate."""

    def read(self) -> NDArray[np.uint8]:
        """The frame (H, W, 3) uint8 BGR.

        Raises:
            InputError: the video has no such frame.
        """
        video = _opened(self.path)
        try:
            video.set(cv2.CAP_PROP_POS_FRAMES, self.number)
            read, frame = video.read()
        finally:
            video.release()
        if not read:
            raise InputError(f"{self.path}: frame {self.number} cannot be decoded; cut the video or name another")
        return np.asarray(frame, np.uint8)


class CountedVideo:
    """Frames of a video file by their number, decoded in order; fast where they are asked for in rising order."""

    def __init__(self, path: Path) -> None:
        self._source = FileSource(path)
        self._frames = iter(self._source)
        self._last: Frame | None = None

    def count(self) -> int:
        """How many there are up to the end or to where the file is cut off, by decoding them all.

        Raises:
            InputError: none can be decoded.
        """
        count = 0
        try:
            for _ in self._source:
                count += 1
        except SourceError as error:
            if count == 0:
                raise InputError(str(error)) from error
        self._frames, self._last = iter(self._source), None
        return count

    def frame(self, number: int) -> NDArray[np.uint8]:
        """The frame (H, W, 3) uint8 BGR.

        Raises:
            InputError: the video has no such frame.
        """
        if self._last is not None and number < self._last.index:
            self._frames, self._last = iter(self._source), None
        try:
            while self._last is None or self._last.index < number:
                self._last = next(self._frames)
        except (StopIteration, SourceError):
            raise InputError(f"{self._source.name}: it has no frame {number} that can be decoded") from None
        return self._last.image


@dataclass(frozen=True)
class CountedFrame:
    """One frame of a video, as boxes files number them."""

    video: CountedVideo
    number: int
    """From 0."""

    def read(self) -> NDArray[np.uint8]:
        """The frame; see `CountedVideo.frame`."""
        return self.video.frame(self.number)


def in_reading_order(chosen: Sequence[Candidate]) -> list[Candidate]:
    """The same candidates, those of a counted video by number: for an earlier one it is decoded from its start."""
    numbers = [one.picture.number if isinstance(one.picture, CountedFrame) else -1 for one in chosen]
    return [chosen[index] for index in np.argsort(numbers, kind="stable")]


def dataset_candidates(dataset: KeypointDataset) -> list[Candidate]:
    """The annotated persons of a data set."""
    by_image = {image_id: source for source, ids in dataset.sources().items() for image_id in ids}
    return [
        Candidate(person.picture, person.box, by_image.get(person.image_id, dataset.name)) for person in dataset.persons
    ]


def folder_candidates(folder: Path, boxes: Path | None) -> list[Candidate]:
    """The persons on the pictures of a folder, subfolders included: the boxes of a file as `danet infer
    --boxes` takes it, or whole pictures.

    Raises:
        InputError: no picture in the folder, or boxes that do not fit.
    """
    pictures = sorted(path for path in folder.rglob("*") if _is_picture(path))
    if not pictures:
        raise InputError(
            f"{folder}: no pictures ({', '.join(PICTURE_SUFFIXES)}) and no annotations of a split; expected a folder "
            "laid out as COCO 2017 or people17, a folder of pictures, or a video"
        )
    content = None if boxes is None else _read(boxes)
    return [
        candidate
        for path in pictures
        for candidate in _on_picture(Photo(path), path, str(path.parent.relative_to(folder)), content)
    ]


def _is_picture(path: Path) -> bool:
    """Whether a path is a picture file; on foreign disks macOS puts what it knows of a.jpg into ._a.jpg beside it."""
    return path.suffix.lower() in PICTURE_SUFFIXES and not path.name.startswith("._") and path.is_file()


def video_candidates(path: Path, boxes: Path | None, frames: int) -> list[Candidate]:
    """The persons on at most `frames` frames of a video, evenly spread over its length.

    The boxes file is a list for every frame, or an object from frame number ("0", "1", ...) to a list;
    frames that it does not name are passed over. Its numbers count frames as they are decoded, whatever their times.
    Without it whole frames are taken.

    Raises:
        InputError: no video that OpenCV can decode, or boxes that do not fit.
    """
    if path.is_file() and path.suffix.lower() not in PLAYLISTS and is_playlist(path):
        raise InputError(f"{path}: no video but a playlist, which names other files; expected a video")
    stated = _stated_count(path) if boxes is None else None
    if stated is not None:
        numbers = np.linspace(0, _readable(path, stated) - 1, frames).round().astype(int)
        return [Candidate(VideoFrame(path, number), None, path.name) for number in np.unique(numbers).tolist()]
    content = None if boxes is None else _read(boxes)
    try:
        video = CountedVideo(path)  # without boxes: raw MJPEG, say, states no count, and OpenCV finds no time in it
    except SourceError as error:
        raise InputError(str(error)) from error
    count = video.count()
    keys = {number: str(number) for number in range(count)}
    if isinstance(content, dict):
        given = sorted((int(key), key) for key in content if key.isdecimal() and len(key) < 10 and int(key) < count)
        keys = dict(given)
        if len(keys) < len(given):
            raise InputError(
                f"{boxes}: {len(given) - len(keys)} frames have two entries, such as 7 and 007; give one each"
            )
        if not keys:
            raise InputError(f"{boxes}: no frame number below {count}; expected an object from frame numbers to boxes")
    known = tuple(keys)
    chosen = [known[index] for index in np.unique(np.linspace(0, len(known) - 1, frames).round().astype(int))]
    return [
        candidate
        for number in chosen
        for candidate in _on_picture(CountedFrame(video, number), Path(keys[number]), path.name, content)
    ]


def _read(boxes: Path) -> Any:
    """The content of a boxes file; raises InputError for null, which means that no file is given."""
    content = read_boxes(str(boxes))
    if content is None:
        raise InputError(f"{boxes}: null, expected a list of boxes or an object of lists")
    return content


def _opened(path: Path) -> cv2.VideoCapture:
    """A video file, for the caller to release; raises InputError."""
    try:
        video = open_file(str(path.absolute()))  # FFmpeg takes what stands before a colon for a protocol
    except SourceError as error:
        raise InputError(str(error)) from error
    if video is None:
        raise InputError(f"{path}: not a video file that OpenCV can decode; expected such as .mp4 or .avi")
    return video


def _stated_count(path: Path) -> int | None:
    video = _opened(path)
    try:
        return stated_frames(video)
    finally:
        video.release()


def _readable(path: Path, stated: int) -> int:
    """Frames up to the last that can be read. MKV, WebM and TS state none: OpenCV's count is duration times rate."""
    video = _opened(path)

    def beyond(number: int) -> bool:
        video.set(cv2.CAP_PROP_POS_FRAMES, number)
        return not video.read()[0]

    try:
        return stated if not beyond(stated - 1) else bisect.bisect_left(range(1, stated), True, key=beyond) + 1
    finally:
        video.release()


def _on_picture(picture: Picture, key: Path, source: str, content: Any) -> Iterator[Candidate]:
    if content is None:
        yield Candidate(picture, None, source)
        return
    # the frame's size matters only for boxes of None
    for box in as_boxes(boxes_for(content, key), "xyxy", (1, 1)):
        yield Candidate(picture, box, source)


def rendered_candidates(count: int, seed: int) -> list[Candidate]:
    """Rendered persons, at least `count`; the same for the same seed, and none that the evaluator renders."""
    rng = np.random.default_rng(seed)
    found: list[Candidate] = []
    for number in itertools.count():
        if len(found) >= count:
            break
        persons = 1 + number % MAX_PERSONS
        scene = RenderedPicture(FIRST_SEED - 1 - int(rng.integers(RENDERED_SPAN)), persons)
        boxes = render_scene(scene.seed, FRAME_SIZE, persons).boxes.astype(np.float64)
        found += [Candidate(scene, box, f"{persons} rendered") for box in boxes]
    return found


def picture_files(candidates: Sequence[Candidate]) -> list[Path]:
    """The files that candidates come from, each once."""
    paths = (getattr(candidate.picture, "path", None) for candidate in candidates)
    return list(dict.fromkeys(path for path in paths if path is not None))
