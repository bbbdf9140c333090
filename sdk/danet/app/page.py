"""The page itself: what stands where, and which handler answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gradio as gr

from danet.app.choices import Choices
from danet.app.engines import Engines
from danet.app.handlers import Handlers
from danet.app.local_blocks import LocalBlocks
from danet.embedded import PORTRAIT

DELETE_EVERY_S, DELETE_AFTER_S = 300, 3600
"""Uploads and results older than the second are looked for and deleted every so often; all at the end."""
MOST_WEBCAMS = 8
"""Visitors whose webcams run at a time; more wait."""
WEBCAM_EVERY_S = 0.1
MORE_VIDEOS = (".mkv", ".avi", ".ts", ".m4v")
"""Suffixes that browsers do not all take for videos; most cannot play them either, so there is no preview."""
HEIGHT = 420
"""Of pictures on the page, pixels."""
TITLE = """# danet: human pose on CPUs
Everything runs on the machine that serves this page; pictures are deleted after an hour, and go nowhere else."""
POSES = "poses"
"""Name of the queue that pictures and videos share: the model works for one visitor at a time, with all cores."""


@dataclass(frozen=True)
class Controls:
    """What holds for all tabs."""

    model: gr.Dropdown
    backend: gr.Dropdown
    persons: gr.Dropdown
    threshold: gr.Slider
    boxes: gr.Checkbox

    @property
    def inputs(self) -> list[Any]:
        """In the order that handlers take them."""
        return [self.model, self.backend, self.persons, self.threshold, self.boxes]


def build_page(engines: Engines) -> gr.Blocks:
    """The page that offers `engines.choices`."""
    handlers = Handlers(engines)
    page = LocalBlocks(title="danet", analytics_enabled=False, delete_cache=(DELETE_EVERY_S, DELETE_AFTER_S))
    with page:
        gr.Markdown(TITLE)
        controls = _controls(engines.choices)
        controls.model.change(handlers.backends, controls.model, controls.backend, api_visibility="private")
        with gr.Tab("Picture"):
            _picture_tab(handlers, controls)
        with gr.Tab("Video"):
            _video_tab(handlers, controls)
        with gr.Tab("Webcam"):
            _webcam_tab(handlers, controls)
    return page


def theme() -> gr.themes.Base:
    """Gradio's look, with the fonts that the visitor's system has: nothing is loaded from elsewhere."""
    return gr.themes.Soft(font=("system-ui", "sans-serif"), font_mono=("ui-monospace", "monospace"))


def _controls(choices: Choices) -> Controls:
    models, finders = list(choices.models), list(choices.detectors)
    backends = list(choices.backends[models[0]])
    with gr.Row():
        model = gr.Dropdown(models, value=models[0], label="Model", elem_id="model")
        backend = gr.Dropdown(backends, value=backends[0], label="Backend", elem_id="backend")
        persons = gr.Dropdown(finders, value=finders[0], label="Persons are found by", elem_id="persons")
    with gr.Row():
        threshold = gr.Slider(0, 1, 0.2, step=0.05, label="Lowest keypoint score drawn", elem_id="threshold")
        boxes = gr.Checkbox(False, label="Draw boxes", elem_id="boxes")
    return Controls(model, backend, persons, threshold, boxes)


def _overlay(elem_id: str, buttons: list[Any]) -> gr.Image:
    """Without Gradio's button to share on a public site."""
    return gr.Image(
        label="Poses",
        format="jpeg",
        interactive=False,
        height=HEIGHT,
        buttons=buttons,
        show_label=True,
        elem_id=elem_id,
    )


def _picture_tab(handlers: Handlers, controls: Controls) -> None:
    with gr.Row():
        picture = gr.Image(
            label="Picture",
            type="filepath",
            image_mode=None,
            sources=["upload", "clipboard"],
            height=HEIGHT,
            elem_id="picture",
        )
        overlay = _overlay("overlay", ["download", "fullscreen"])
    sentence = gr.Textbox(label="Result", interactive=False, elem_id="sentence")
    with gr.Row():
        again = gr.Button("Find poses", variant="primary", elem_id="find")
        download = gr.DownloadButton("Download JSON", interactive=False, elem_id="download")
    with gr.Accordion("Poses as JSON", open=False):
        content = gr.JSON(show_label=False, elem_id="json")
    gr.Examples([[str(PORTRAIT)]], [picture], label="Example", elem_id="examples")
    gr.on(
        [picture.change, again.click],
        handlers.picture,
        [picture, *controls.inputs],
        [overlay, sentence, content, download],
        concurrency_limit=1,
        concurrency_id=POSES,
        preprocess=False,  # else Gradio opens the picture first, and its errors are not for visitors
        api_visibility="private",
    )


def _video_tab(handlers: Handlers, controls: Controls) -> None:
    with gr.Row():
        video = gr.File(label="Video", file_types=["video", *MORE_VIDEOS], height=HEIGHT, elem_id="video")
        annotated = gr.Video(
            label="Poses", interactive=False, autoplay=True, height=HEIGHT, buttons=["download"], elem_id="annotated"
        )
    sentence = gr.Textbox(label="Result", interactive=False, elem_id="video-sentence")
    with gr.Row():
        find = gr.Button("Find poses", variant="primary", elem_id="find-video")
        stop = gr.Button("Stop", elem_id="stop")
        download = gr.DownloadButton("Download JSON Lines", interactive=False, elem_id="download-lines")
    run = find.click(
        handlers.video,
        [video, *controls.inputs],
        [annotated, sentence, download],
        concurrency_limit=1,
        concurrency_id=POSES,
        show_progress_on=sentence,
        api_visibility="private",
    )
    stop.click(None, cancels=[run], api_visibility="private")


def _webcam_tab(handlers: Handlers, controls: Controls) -> None:
    session = gr.State()
    with gr.Row():
        webcam = gr.Image(label="Webcam", sources=["webcam"], streaming=True, height=HEIGHT, elem_id="webcam")
        overlay = _overlay("live", ["fullscreen"])
    sentence = gr.Textbox(label="Result", interactive=False, elem_id="live-sentence")
    webcam.stream(
        handlers.webcam,
        [webcam, session, *controls.inputs],
        [overlay, sentence, session],
        stream_every=WEBCAM_EVERY_S,
        concurrency_limit=MOST_WEBCAMS,
        show_progress="hidden",
        # else Gradio refuses a backend that is not of the menu, unpacks a picture of any size, and keeps each overlay
        # as a file for an hour
        preprocess=False,
        postprocess=False,
        api_visibility="private",
    )
