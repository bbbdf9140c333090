from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from danet.app.choices import HOG, WHOLE_PICTURE
from danet.app.engines import Engines
from danet.frame import read_picture

gradio = pytest.importorskip("gradio", reason="the page needs Gradio: pip install 'danet-edge[app]'")

from danet.app.picture import read_data_url
from danet.app.video import VideoProgress

CHOSEN = ("danet72", "openvino", WHOLE_PICTURE, 0.2, False)
CLEARED = (None, "", None)
"""Overlay, sentence and JSON before anything is found."""


@pytest.fixture
def handlers(engines: Engines, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    from danet.app.handlers import Handlers

    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    return Handlers(engines)


def test_picture(handlers: Any, portrait: Path) -> None:
    steps = handlers.picture({"path": str(portrait)}, *CHOSEN)
    assert next(steps)[:3] == CLEARED
    overlay, sentence, content, download = next(steps)
    picture = read_picture(portrait)[:, :, ::-1]
    assert 0 < (overlay != picture).any(2).mean() < 0.2  # RGB, as Gradio takes it
    assert sentence.startswith("1 person, mean keypoint score 0.")
    assert sentence.endswith("(danet72, openvino, fp32)")
    file = Path(download.value["path"] if isinstance(download.value, dict) else download.value)
    assert content == json.loads(file.read_text())
    assert (content["model"], content["width"], len(content["persons"])) == ("danet72", 512, 1)
    assert list(steps) == []


def test_results_are_deleted_when_gradio_has_its_copy(
    handlers: Any, portrait: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "results"))
    (tmp_path / "results").mkdir()
    steps = handlers.picture({"path": str(portrait)}, *CHOSEN)
    next(steps)
    next(steps)
    assert len(list((tmp_path / "results").iterdir())) == 1
    assert next(steps, None) is None
    assert list((tmp_path / "results").iterdir()) == []


def test_nothing_uploaded(handlers: Any) -> None:
    ((overlay, sentence, content, _),) = handlers.picture(None, *CHOSEN)
    assert (overlay, sentence, content) == (None, "", None)
    assert list(handlers.webcam(None, None, *CHOSEN)) == [(None, "", None)]
    ((_, sentence, _),) = handlers.video(None, *CHOSEN)
    assert sentence == "upload a video first"


def test_nobody_found_says_what_to_do(handlers: Any, tmp_path: Path) -> None:
    import cv2

    cv2.imwrite(str(tmp_path / "black.png"), np.zeros((200, 200, 3), np.uint8))
    *_, (_, sentence, content, _) = handlers.picture(
        {"path": str(tmp_path / "black.png")}, *CHOSEN[:2], HOG, 0.2, False
    )
    assert "choose another one, or none" in sentence
    assert content["persons"] == []


@pytest.mark.parametrize(
    ("chosen", "message"),
    [
        (CHOSEN, "a&lt;b.png: not a picture"),
        (("other", *CHOSEN[1:]), "not a picture"),
    ],
)
def test_errors_reach_the_visitor(handlers: Any, chosen: Any, message: str, tmp_path: Path) -> None:
    upload = tmp_path / "0123abcd" / "a<b.png"  # as Gradio keeps uploads
    upload.parent.mkdir()
    upload.write_text("nothing")
    with pytest.raises(gradio.Error, match=message) as caught:
        list(handlers.picture({"path": str(upload)}, *chosen))
    assert str(tmp_path) not in str(caught.value)


def test_wrong_choices_reach_the_visitor(handlers: Any, portrait: Path) -> None:
    for wrong in (("x", *CHOSEN[1:]), ("danet72", "null", *CHOSEN[2:]), (*CHOSEN[:2], "/etc/passwd", *CHOSEN[3:])):
        with pytest.raises(gradio.Error, match="is not offered"):
            list(handlers.picture({"path": str(portrait)}, *wrong))


def test_nothing_of_the_picture_before_stands_beside_one_that_is_refused(handlers: Any, tmp_path: Path) -> None:
    (tmp_path / "broken.png").write_text("nothing")
    steps = handlers.picture({"path": str(tmp_path / "broken.png")}, *CHOSEN)
    *shown, download = next(steps)
    assert tuple(shown) == CLEARED
    assert (download.value, download.interactive) == (None, False)
    with pytest.raises(gradio.Error, match="not a picture"):
        next(steps)


def of_webcam(portrait: Path) -> dict[str, Any]:
    """The portrait as the page sends a webcam's picture."""
    return {"path": None, "url": f"data:image/jpeg;base64,{base64.b64encode(portrait.read_bytes()).decode()}"}


def test_webcam(handlers: Any, portrait: Path) -> None:
    picture = of_webcam(portrait)
    session: Any = None
    for _ in range(3):
        ((overlay, sentence, session),) = handlers.webcam(picture, session, *CHOSEN)
    drawn, plain = read_data_url(overlay["url"]), read_picture(portrait)
    assert drawn.shape == plain.shape
    assert 0.001 < (np.abs(drawn.astype(int) - plain).max(2) > 80).mean() < 0.2  # far more than JPEG changes
    assert sentence.startswith("1 person, ")
    assert float(sentence.split()[2]) > 0
    ((_, _, other),) = handlers.webcam(picture, session, *CHOSEN[:2], HOG, 0.2, False)
    assert other is not session  # another detector knows nobody yet


def test_a_webcam_picture_with_the_backend_of_the_model_before(handlers: Any, portrait: Path) -> None:
    """A model has been chosen, and the answer with its menu of backends is still on its way."""
    ((_, sentence, session),) = handlers.webcam(of_webcam(portrait), None, "danet72", "tflite", *CHOSEN[2:])
    assert sentence.startswith("1 person, ")
    assert session.choice == CHOSEN[:3]
    ((_, _, same),) = handlers.webcam(of_webcam(portrait), session, *CHOSEN)
    assert same is session  # persons keep their ids when the answer is there
    with pytest.raises(gradio.Error, match="model 'x' is not offered"):
        list(handlers.webcam(of_webcam(portrait), None, "x", *CHOSEN[1:]))


def test_video(handlers: Any, clip: Path) -> None:
    pytest.importorskip("av", reason="H.264 needs PyAV: pip install 'danet-edge[video]'")
    steps = handlers.video(str(clip), *CHOSEN)
    assert next(steps)[:2] == (None, "")
    *_, (video, sentence, download) = [step for step in steps if isinstance(step[0], str) and Path(step[0]).is_file()]
    assert Path(video).name == "poses.mp4"
    assert sentence.startswith("12 frames, ")
    assert download.interactive
    assert not Path(video).exists()  # Gradio has had its time for a copy


def test_a_video_that_is_stopped(handlers: Any, clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What writes ends before its folder goes, which Windows would keep, and before another gets its estimator."""
    order = []

    def steps(path: Path, folder: Path, *_: Any, **__: Any) -> Iterator[VideoProgress]:
        try:
            while True:
                yield VideoProgress(1, 12, 1.0)
        finally:
            order.append(folder.is_dir())

    monkeypatch.setattr("danet.app.handlers.annotate_video", steps)
    shown = handlers.video(str(clip), *CHOSEN)
    next(shown)
    next(shown)
    shown.close()
    assert order == [True]


def test_backends_of_a_model(handlers: Any) -> None:
    assert handlers.backends("danet72").value == "openvino"
    assert handlers.backends("gone").value is None
