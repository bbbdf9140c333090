"""What happens on the page: Gradio's values in, Gradio's values out, danet's errors shown to the visitor."""

from __future__ import annotations

import functools
import html
import json
import re
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import cv2
import gradio as gr
import numpy as np
from gradio.data_classes import ImageData
from gradio.utils import get_upload_folder
from numpy.typing import NDArray

from danet.app.engines import Engines
from danet.app.live import LiveSession
from danet.app.picture import PictureResult, as_data_url, find_poses, read_data_url, read_upload
from danet.app.video import POSES_NAME, VIDEO_NAME, VideoProgress, annotate_video
from danet.errors import DanetError
from danet.poses import Poses

Arguments = ParamSpec("Arguments")
Step = TypeVar("Step")


def shown(handler: Callable[Arguments, Iterator[Step]]) -> Callable[Arguments, Iterator[Step]]:
    """A handler (a generator) whose errors the visitor reads on the page, a full disk's as well."""

    @functools.wraps(handler)
    def wrapped(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Iterator[Step]:
        try:
            yield from handler(*args, **kwargs)
        except (DanetError, OSError) as error:
            # the message is put into the page as HTML
            message = html.escape(without_folders(str(error)), quote=False)
            raise gr.Error(message, title="danet", print_exception=False) from error

    return wrapped


def without_folders(text: str) -> str:
    """A message with the uploads' names only: where the server keeps them is not the visitor's business."""
    return re.sub(re.escape(get_upload_folder()) + r"[\\/][^\\/\s]+[\\/]", "", text)


class Handlers:
    """The page's events. Each takes the chosen model, backend, detector, threshold and boxes as its last arguments."""

    def __init__(self, engines: Engines) -> None:
        self._engines = engines

    def backends(self, model: str) -> Any:
        """The backend menu for a newly chosen model."""
        names = self._engines.choices.backends.get(model, ())
        return gr.Dropdown(choices=list(names), value=names[0] if names else None)

    @shown
    def picture(
        self, upload: dict[str, Any] | None, model: str, backend: str, persons: str, threshold: float, boxes: bool
    ) -> Iterator[tuple[Any, ...]]:
        """An uploaded picture, as Gradio's FileData -> overlay RGB, sentence, JSON content, JSON file; first nothing.

        Else a picture that is refused would stand beside the results of the one before.
        """
        yield None, "", None, _no_download()
        if not upload or not upload.get("path"):
            return
        picture = read_upload(Path(upload["path"]))
        with self._engines.detector(persons) as detector, self._engines.estimator(model, backend) as estimator:
            result = find_poses(picture, estimator, detector)
            ran_in = f"{model}, {backend}, {estimator.precision}"
        content = {"model": model, "backend": backend, **result.to_dict()}
        with tempfile.TemporaryDirectory() as folder:  # Gradio has its own copy when this generator is resumed
            file = Path(folder) / "poses.json"
            file.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
            drawn = _rgb(result.draw(threshold=threshold, boxes=boxes))
            yield drawn, _sentence(result, ran_in), content, _download(file)

    @shown
    def webcam(
        self,
        picture: dict[str, Any] | None,
        session: LiveSession | None,
        model: str,
        backend: str,
        persons: str,
        threshold: float,
        boxes: bool,
    ) -> Iterator[tuple[Any, ...]]:
        """A picture of the webcam, as Gradio's FileData with a data: URL -> overlay (the same), sentence, session."""
        if not picture or not picture.get("url"):
            yield None, "", None
            return
        backend = self._backend(model, backend)
        choice = (model, backend, persons)
        if session is None or session.choice != choice:
            session = LiveSession(choice)
        frame = read_data_url(picture["url"])
        with self._engines.detector(persons) as detector, self._engines.estimator(model, backend) as estimator:
            poses = session.step(frame, estimator, detector)
        drawn = poses.draw(frame, threshold=threshold, boxes=boxes)
        overlay = ImageData(url=as_data_url(drawn)).model_dump()
        yield overlay, f"{_count(poses)}, {session.fps:.1f} fps", session

    def _backend(self, model: str, chosen: str) -> str:
        """The chosen backend, or the model's first where it is of the model before.

        A webcam's picture may be sent between the choice of a model and the answer to it, which brings the new menu of
        backends; an error would end the stream.
        """
        names = self._engines.choices.backends.get(model, ())
        return chosen if chosen in names or not names else names[0]

    @shown
    def video(
        self, path: str | None, model: str, backend: str, persons: str, threshold: float, boxes: bool
    ) -> Iterator[tuple[Any, ...]]:
        """An uploaded video -> annotated video, sentence, JSON Lines file; the sentence alone on the way."""
        yield None, "" if path else "upload a video first", _no_download()
        if path is None:
            return
        with (
            tempfile.TemporaryDirectory() as folder,  # Gradio has its own copies when this generator is resumed
            self._engines.detector(persons) as detector,
            self._engines.estimator(model, backend) as estimator,
            # closed first, also where the page's Stop ends this generator: it writes to the folder, by the estimator
            closing(
                annotate_video(Path(path), Path(folder), estimator, detector, threshold=threshold, boxes=boxes)
            ) as steps,
        ):
            results = Path(folder)
            for progress in steps:
                yield gr.skip(), _progress(progress), gr.skip()
            yield str(results / VIDEO_NAME), _done(progress), _download(results / POSES_NAME)


def _progress(progress: VideoProgress) -> str:
    of = f" of {progress.total}" if progress.total else ""
    left = "" if progress.seconds_left is None else f", {progress.seconds_left:.0f} s left"
    return f"frame {progress.frames}{of}, {progress.fps:.1f} fps{left}"


def _done(progress: VideoProgress) -> str:
    note = f"; {without_folders(progress.note)}" if progress.note else ""
    return f"{progress.frames} frames, {progress.fps:.1f} fps with reading, drawing and writing{note}"


def _rgb(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """BGR (H, W, 3) -> RGB, and back."""
    return np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB), np.uint8)


def _count(poses: Poses) -> str:
    return f"{len(poses)} person{'s' * (len(poses) != 1)}"


def _sentence(result: PictureResult, ran_in: str) -> str:
    speed = f"{1000 * result.seconds:.0f} ms, {1 / result.seconds:.1f} pictures per second"
    if not len(result.poses):
        return f"nobody found by the detector ({speed}); choose another one, or none, under “Persons are found by”"
    scores = ", ".join(f"{score:.2f}" for score in result.poses.person_scores)
    return f"{_count(result.poses)}, mean keypoint score {scores}; {speed} ({ran_in})"


def _download(file: Path) -> Any:
    return gr.DownloadButton(value=str(file), interactive=True)


def _no_download() -> Any:
    return gr.DownloadButton(value=None, interactive=False)
