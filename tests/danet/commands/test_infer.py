from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from danet import opened_model
from danet.backends.base import BackendOptions, LoadedModel
from danet.backends.registry import load_model
from danet.commands import infer
from danet.commands.pictures import boxes_for, write_picture
from danet.detectors import opening
from danet.detectors.base import Detections
from danet.embedded import PORTRAIT_BOX
from danet.errors import InputError
from danet.estimator import PoseEstimator
from danet.frame import read_picture
from danet.keypoints import COCO_KEYPOINTS
from danet.scenes.clip import render_clip
from danet.scenes.scene import Scene
from danet.tracking.boxes import iou

Danet = Callable[..., Any]


@pytest.fixture
def boxes_file(scene: Scene, tmp_path: Path) -> Path:
    path = tmp_path / "boxes.json"
    path.write_text(json.dumps(scene.boxes.tolist()))
    return path


def persons_of(text: str, picture: int = 0) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(text)["images"][picture]["persons"]
    return found


# Boxes in, JSON out


def test_json_says_what_the_estimator_says(
    danet: Danet, tiny_ir: Path, scene: Scene, scene_file: Path, boxes_file: Path
) -> None:
    outcome = danet("infer", tiny_ir, scene_file, "--boxes", boxes_file, "--json", "-")
    content = json.loads(outcome.out)
    assert outcome.status == 0
    assert (content["model"], content["precision"]) == ("tiny", "fp32")
    (image,) = content["images"]
    assert (image["file"], image["width"], image["height"]) == (str(scene_file), 320, 240)
    with PoseEstimator(tiny_ir) as estimator:
        poses = estimator.infer(scene.image, scene.boxes)
    assert len(image["persons"]) == len(poses) == len(scene.boxes) >= 2
    for person, points, scores, box in zip(image["persons"], poses.keypoints, poses.scores, scene.boxes, strict=True):
        assert tuple(person["keypoints"]) == COCO_KEYPOINTS
        np.testing.assert_allclose(list(person["keypoints"].values()), np.column_stack((points, scores)), atol=0.006)
        np.testing.assert_allclose(person["box"], box, atol=0.006)
        assert person["score"] == pytest.approx(scores.mean(), abs=1e-4)
    assert f"{scene_file}: {len(poses)} persons" in outcome.err


def test_boxes_from_stdin(
    danet: Danet, tiny_ir: Path, scene_file: Path, boxes_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = danet("infer", tiny_ir, scene_file, "--boxes", boxes_file, "--json", "-").out
    monkeypatch.setattr(sys, "stdin", io.StringIO(boxes_file.read_text()))
    assert danet("infer", tiny_ir, scene_file, "--boxes", "-", "--json", "-").out == expected


def test_without_boxes_the_picture_is_one_person_and_this_is_told_once(
    danet: Danet, tiny_ir: Path, scene_file: Path, portrait: Path
) -> None:
    outcome = danet("infer", tiny_ir, scene_file, portrait, "--json", "-")
    (person,) = persons_of(outcome.out)
    assert person["box"] == [0, 0, 320, 240]
    first, told, second = outcome.err.splitlines()
    assert first.startswith(f"{scene_file}: 1 person, scores 0.")
    assert told == "no --boxes or --detector: each whole picture is taken as one person"
    assert second.startswith(f"{portrait}: 1 person, scores ")


def test_where_the_keypoints_are_to_be_had(danet: Danet, scene_file: Path, boxes_file: Path, tmp_path: Path) -> None:
    line = ("infer", "null", scene_file, "--backend", "null", "--boxes", boxes_file)
    outcome = danet(*line)
    assert (outcome.status, outcome.out) == (0, "")
    told = "keypoints are not shown: --json - prints them, --draw FILE draws them"
    assert outcome.err.splitlines()[1:] == [told]
    for output in (("--json", "-"), ("--draw", tmp_path / "a.png")):
        assert len(danet(*line, *output).err.splitlines()) == 1


def test_boxes_by_picture(danet: Danet, tiny_ir: Path, scene_file: Path, portrait: Path, tmp_path: Path) -> None:
    boxes = {str(scene_file): [[10, 10, 90, 200], [50, 20, 150, 220]], "portrait.jpg": [PORTRAIT_BOX]}
    (tmp_path / "by-name.json").write_text(json.dumps(boxes))
    outcome = danet("infer", tiny_ir, portrait, scene_file, "--boxes", tmp_path / "by-name.json", "--json", "-")
    assert [len(persons_of(outcome.out, picture)) for picture in (0, 1)] == [1, 2]
    assert persons_of(outcome.out, 1)[0]["box"] == [10, 10, 90, 200]


def test_boxes_by_a_path_as_it_was_given(
    danet: Danet, tiny_ir: Path, scene_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(scene_file.parent)
    given = f"./{scene_file.name}"  # as find gives it; a Path has lost the dot
    content = json.dumps({scene_file.name[1:]: [], f"./{scene_file.name}": [[10, 10, 90, 200]]})
    (tmp_path / "boxes.json").write_text(content, encoding="utf-8-sig")  # as Windows tools write it
    outcome = danet("infer", tiny_ir, given, "--boxes", tmp_path / "boxes.json", "--json", "-")
    assert persons_of(outcome.out)[0]["box"] == [10, 10, 90, 200]
    both = {"a.jpg": "name", "./x/a.jpg": "path"}
    assert [boxes_for(both, Path(path)) for path in ("x/a.jpg", "y/a.jpg", "a.jpg")] == ["path", "name", "name"]


def test_standard_input_is_utf_8_whatever_the_system(tiny_ir: Path, scene_file: Path, tmp_path: Path) -> None:
    picture = tmp_path / "Zürich.png"
    picture.write_bytes(scene_file.read_bytes())
    line = [Path(sys.executable).with_name("danet"), "infer", tiny_ir, picture, "--boxes", "-", "--json", "-"]
    text = json.dumps({picture.name: [[10, 10, 90, 200]]}, ensure_ascii=False).encode()
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    done = subprocess.run(line, input=text, capture_output=True, check=False, timeout=120, env=environment)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["images"][0]["persons"][0]["box"] == [10, 10, 90, 200]


def test_json_is_written_over_nothing_that_is_read_or_drawn(
    danet: Danet, tiny_ir: Path, scene_file: Path, boxes_file: Path, tmp_path: Path
) -> None:
    picture = tmp_path / "picture.png"
    picture.write_bytes(scene_file.read_bytes())
    (tmp_path / "link.xml").symlink_to(tiny_ir)
    before = [path.read_bytes() for path in (picture, boxes_file, tiny_ir)]
    for out in (picture, boxes_file, tmp_path / "link.xml"):
        outcome = danet("infer", tiny_ir, picture, "--boxes", boxes_file, "--json", out)
        assert f"{out} is read; write to another file" in outcome.error()
    assert [path.read_bytes() for path in (picture, boxes_file, tiny_ir)] == before
    drawn = danet("infer", tiny_ir, picture, "--draw", tmp_path / "a.png", "--json", tmp_path / "b" / ".." / "a.png")
    assert "is drawn to; write the JSON to another file" in drawn.error()


def test_a_format_of_no_boxes_is_refused(danet: Danet, tiny_ir: Path, scene_file: Path) -> None:
    done = danet("infer", tiny_ir, scene_file, "--box-format", "xywh")
    assert done.status == 2
    assert "--box-format xywh without --boxes" in done.err
    assert danet("infer", tiny_ir, scene_file, "--threshold", "nan").status == 2


def test_box_format(danet: Danet, tiny_ir: Path, scene_file: Path, tmp_path: Path) -> None:
    (tmp_path / "boxes.json").write_text("[[10, 20, 80, 180]]")
    arguments = ("infer", tiny_ir, scene_file, "--boxes", tmp_path / "boxes.json", "--json", "-", "--box-format")
    assert persons_of(danet(*arguments, "xywh").out)[0]["box"] == [10, 20, 90, 200]
    assert persons_of(danet(*arguments, "xyxy").out)[0]["box"] == [10, 20, 80, 180]
    assert danet(*arguments, "yxyx").status == 2


def test_no_person(danet: Danet, tiny_ir: Path, scene_file: Path, tmp_path: Path) -> None:
    (tmp_path / "none.json").write_text("[]")
    outcome = danet("infer", tiny_ir, scene_file, "--boxes", tmp_path / "none.json", "--json", "-")
    assert (outcome.status, persons_of(outcome.out)) == (0, [])


@pytest.mark.needs("onnxruntime")
def test_options_reach_the_model(
    danet: Danet, tiny_onnx: Path, scene_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = []

    def load(path: Path, backend: str | None, options: BackendOptions) -> LoadedModel:
        loaded = load_model(path, backend, options)
        opened.append(type(loaded.backend).__name__)
        return loaded

    monkeypatch.setattr(opened_model, "load_model", load)
    arguments = ("infer", tiny_onnx, scene_file, "--json", "-")
    plain, flipped = danet(*arguments), danet(*arguments, "--flip-test", "--threads", "1")
    assert persons_of(plain.out) != persons_of(flipped.out)
    in_openvino = danet(*arguments, "--backend", "openvino")
    assert [person["box"] for person in persons_of(in_openvino.out)] == [[0, 0, 320, 240]]
    assert opened == ["OnnxRuntimeBackend", "OnnxRuntimeBackend", "OpenVinoBackend"]
    assert "onnxruntime" in danet(*arguments, "--precision", "bf16").error()
    assert danet(*arguments, "--backend", "tensorrt").status == 2
    assert danet(*arguments, "--threads", "0").status == 2
    assert danet(*arguments, "--threads", "5000").status == 2


# Pictures out


def test_draw_file(danet: Danet, tiny_ir: Path, scene: Scene, scene_file: Path, tmp_path: Path) -> None:
    target = tmp_path / "new" / "out.png"
    assert danet("infer", tiny_ir, scene_file, "--draw", target, "--threshold", "0").status == 0
    drawn = cv2.imread(str(target))
    assert drawn.shape == scene.image.shape
    changed = (drawn != scene.image).any(2).mean()
    assert 0.001 < changed < 0.9
    assert [path.name for path in target.parent.iterdir()] == ["out.png"]


def test_draw_folder(danet: Danet, tiny_ir: Path, scene_file: Path, portrait: Path, tmp_path: Path) -> None:
    (tmp_path / "old").mkdir()
    for folder in (tmp_path / "new", tmp_path / "old"):
        assert danet("infer", tiny_ir, scene_file, portrait, "--draw", folder).status == 0
        assert {path.name for path in folder.iterdir()} == {"scene.png", "portrait.png"}
        assert cv2.imread(str(folder / "portrait.png")).shape == read_picture(portrait).shape


def test_pictures_of_one_name_do_not_overwrite_each_other(
    danet: Danet, tiny_ir: Path, scene_file: Path, portrait: Path, tmp_path: Path
) -> None:
    for name, source in (("a/frame.png", scene_file), ("b/frame.jpg", portrait)):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_bytes(source.read_bytes())
    out = tmp_path / "out"
    outcome = danet("infer", tiny_ir, tmp_path / "a/frame.png", tmp_path / "b/frame.jpg", "--draw", out)
    assert "would both be drawn to" in outcome.error()
    assert not out.exists()


def test_picture_in_the_way_of_the_folder_stays(
    danet: Danet, tiny_ir: Path, scene_file: Path, portrait: Path, tmp_path: Path
) -> None:
    target = tmp_path / "out.png"
    target.write_bytes(b"precious")
    outcome = danet("infer", tiny_ir, scene_file, portrait, "--draw", target)
    assert outcome.status == 1
    assert "out.png" in outcome.err
    assert target.read_bytes() == b"precious"


@pytest.mark.parametrize("count", [1, 2])
def test_pictures_are_not_drawn_over_those_that_are_read(
    danet: Danet, tiny_ir: Path, scene_file: Path, portrait: Path, count: int, tmp_path: Path
) -> None:
    """Not even the later one over the earlier one, nor by another name of the same file."""
    read = [tmp_path / "first.png", tmp_path / "second.jpg"][:count]
    for path, source in zip(read, (scene_file, portrait), strict=False):
        path.write_bytes(source.read_bytes())
    before = [path.read_bytes() for path in read]
    (tmp_path / "out").mkdir()
    for target in [tmp_path, tmp_path / "first.png"][: 3 - count]:
        assert "first.png, which is read" in danet("infer", tiny_ir, *read, "--draw", target).error()
    (tmp_path / "out" / f"{read[-1].stem}.png").symlink_to(read[0])
    assert f"{read[-1].stem}.png, which is read" in danet("infer", tiny_ir, *read, "--draw", tmp_path / "out").error()
    assert [path.read_bytes() for path in read] == before


@pytest.mark.parametrize("name", ["out.txt", "out.xyz"])
def test_picture_of_an_unknown_suffix(danet: Danet, tiny_ir: Path, scene_file: Path, name: str, tmp_path: Path) -> None:
    assert name in danet("infer", tiny_ir, scene_file, "--draw", tmp_path / name).error()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("suffix", [".exr", ".pgm", ".pbm"])
def test_picture_of_a_format_that_opencv_cannot_write(
    danet: Danet, scene_file: Path, suffix: str, tmp_path: Path
) -> None:
    """Although it knows the suffix: switched off, or of grey pictures alone. Refused before a model is opened."""
    outcome = danet("infer", tmp_path / "absent.xml", scene_file, "--draw", tmp_path / f"out{suffix}")
    assert f"OpenCV cannot write pictures named {suffix!r}; use .png or .jpg" in outcome.error()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["out.exr", "out.pgm", "out.webp"])
def test_opencv_says_nothing_of_its_own_of_a_picture_that_it_cannot_write(
    name: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(InputError, match=name):
        write_picture(np.zeros((2, 16_400, 3), np.uint8), tmp_path / name)
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("suffix", [".bmp", ".jp2", ".jpg", ".png", ".ppm", ".tiff", ".webp"])
def test_formats_of_colour_are_written(suffix: str, tmp_path: Path) -> None:
    if suffix == ".jp2" and not cv2.haveImageWriter("x.jp2"):
        pytest.skip("this OpenCV writes no JPEG 2000")
    write_picture(np.full((40, 60, 3), 90, np.uint8), tmp_path / f"out{suffix}")
    assert read_picture(tmp_path / f"out{suffix}").shape == (40, 60, 3)


def test_a_picture_too_large_for_its_format(danet: Danet, tiny_ir: Path, tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "wide.png"), np.zeros((2, 16_400, 3), np.uint8))  # WebP has 16383 at most
    outcome = danet("infer", tiny_ir, tmp_path / "wide.png", "--draw", tmp_path / "out.webp")
    assert "out.webp: the picture of 16400 x 2 could not be encoded as .webp; use .png" in outcome.err
    assert outcome.status == 1
    assert [path.name for path in tmp_path.iterdir()] == ["wide.png"]


# One bad picture does not cost the others


def test_a_picture_that_cannot_be_drawn_costs_neither_the_others_nor_the_json(
    danet: Danet, tiny_ir: Path, scene_file: Path, portrait: Path, tmp_path: Path
) -> None:
    (tmp_path / "out" / f"{scene_file.stem}.png").mkdir(parents=True)
    done = danet("infer", tiny_ir, scene_file, portrait, "--draw", tmp_path / "out", "--json", "-")
    assert done.status == 1
    assert f"{scene_file.stem}.png: a folder" in done.err
    assert [one["file"] for one in json.loads(done.out)["images"]] == [str(scene_file), str(portrait)]
    assert (tmp_path / "out" / f"{portrait.stem}.png").is_file()


def test_what_was_found_is_kept_when_the_command_is_ended(
    danet: Danet, tiny_ir: Path, scene_file: Path, portrait: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read(path: Path) -> Any:
        if path == portrait:
            raise KeyboardInterrupt
        return read_picture(path)

    monkeypatch.setattr(infer, "read_picture", read)
    done = danet("infer", tiny_ir, scene_file, portrait, "--json", "-")
    assert done.status == 130
    assert [one["file"] for one in json.loads(done.out)["images"]] == [str(scene_file)]


def test_a_folder_as_json_is_refused_before_any_work(
    danet: Danet, tiny_ir: Path, scene_file: Path, tmp_path: Path
) -> None:
    done = danet("infer", tiny_ir, scene_file, "--json", tmp_path)
    assert "a folder, expected a file" in done.error()


@pytest.mark.parametrize("option", ["--json", "--draw"])
def test_an_empty_name_is_wrong_use(danet: Danet, tiny_ir: Path, scene_file: Path, option: str) -> None:
    done = danet("infer", tiny_ir, scene_file, option, "")
    assert done.status == 2
    assert "an empty name" in done.err


def test_a_threshold_of_no_drawing_is_wrong_use(danet: Danet, tiny_ir: Path, scene_file: Path) -> None:
    done = danet("infer", tiny_ir, scene_file, "--threshold", 0.3)
    assert done.status == 2
    assert "--threshold without --draw" in done.err


def test_closed_standard_input(tiny_ir: Path, scene_file: Path) -> None:
    command = f"{Path(sys.executable).with_name('danet')} infer {tiny_ir} {scene_file} --boxes - <&-"
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (1, "danet: error: standard input is closed; name a file of boxes\n")


def test_broken_pictures_among_good_ones(
    danet: Danet, tiny_ir: Path, scene_file: Path, portrait: Path, tmp_path: Path
) -> None:
    broken, missing = tmp_path / "broken.jpg", tmp_path / "missing.jpg"
    broken.write_bytes(portrait.read_bytes()[:300])
    outcome = danet("infer", tiny_ir, scene_file, broken, missing, portrait, "--json", "-", "--draw", tmp_path / "out")
    assert outcome.status == 1
    assert [image["file"] for image in json.loads(outcome.out)["images"]] == [str(scene_file), str(portrait)]
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"scene.png", "portrait.png"}
    errors = [line for line in outcome.err.splitlines() if "error" in line]
    assert len(errors) == 2
    assert all(line.startswith("danet: error: ") for line in errors)
    assert str(broken) in errors[0]
    assert f"{missing}: No such file" in errors[1]


# What cannot be done is one line


@pytest.mark.parametrize("content", [b"", b"not a picture", b"\x89PNG\r\n\x1a\n" + b"\0" * 64])
def test_broken_picture(danet: Danet, tiny_ir: Path, content: bytes, tmp_path: Path) -> None:
    (tmp_path / "broken.png").write_bytes(content)
    outcome = danet("infer", tiny_ir, tmp_path / "broken.png", "--json", tmp_path / "out.json")
    assert "broken.png" in outcome.error()
    assert not (tmp_path / "out.json").exists()


def test_folder_as_picture(danet: Danet, tiny_ir: Path, tmp_path: Path) -> None:
    told = danet("infer", tiny_ir, tmp_path).error()
    assert told.startswith(f"{tmp_path}: a folder, expected a picture; name those in it ({tmp_path}/*)")
    assert f"or run danet video MODEL {tmp_path}, which takes them as frames of one video" in told


def test_video_as_picture(danet: Danet, tiny_ir: Path, tmp_path: Path) -> None:
    clip, missing = tmp_path / "clip.MP4", tmp_path / "missing.mp4"
    clip.write_bytes(bytes(4) + b"ftypisom" + bytes(100))
    told = danet("infer", tiny_ir, clip).error()
    assert told.startswith(f"{clip}: not a picture that OpenCV can decode")
    assert told.endswith(f"; for a video run danet video MODEL {clip}")
    assert danet("infer", tiny_ir, missing).error() == f"{missing}: No such file or directory"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[[1, 2, 3]]", "expected (N, 4)"),
        ("[1, 2, 3, 4]", "expected (N, 4)"),
        ("[[1, 2, 3, 4], [1, 2]]", "boxes"),
        ('[["a", "b", "c", "d"]]', "numbers"),
        ('[{"x": 1}]', "boxes"),
        ("[[50, 50, 10, 90]]", "width and height above 0"),
        ("[[1, 2, NaN, 4]]", "finite"),
        ("[[1, 2, 1e400, 4]]", "finite"),
        ("[[1, 2, 1e9, 4e9]]", "1000000 pixels"),
        ('"all"', "expected a list of boxes"),
        ("7", "expected a list of boxes"),
        ('{"other.png": [[1, 2, 3, 4]]}', "no entry"),
        ("{}", "no entry"),
        ("[[1, 2, 3", "not JSON"),
        ("", "not JSON"),
        ("[" * 100_000, "not JSON"),
    ],
)
def test_wrong_boxes(danet: Danet, tiny_ir: Path, scene_file: Path, content: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "boxes.json").write_text(content)
    out = tmp_path / "out.json"
    assert message in danet("infer", tiny_ir, scene_file, "--boxes", tmp_path / "boxes.json", "--json", out).error()
    assert not out.exists()


def test_null_in_the_place_of_boxes(danet: Danet, tiny_ir: Path, scene_file: Path, tmp_path: Path) -> None:
    """Not the whole picture as one person."""
    (tmp_path / "boxes.json").write_text(json.dumps({scene_file.name: None}))
    told = danet("infer", tiny_ir, scene_file, "--boxes", tmp_path / "boxes.json").error()
    assert f"null for {scene_file}, expected a list; []" in told


def test_boxes_that_are_no_text(danet: Danet, tiny_ir: Path, scene_file: Path, tmp_path: Path) -> None:
    (tmp_path / "boxes.json").write_bytes(b"\xff\xfe\x00[")
    assert "not JSON" in danet("infer", tiny_ir, scene_file, "--boxes", tmp_path / "boxes.json").error()
    assert "No such file" in danet("infer", tiny_ir, scene_file, "--boxes", tmp_path / "none.json").error()


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.99])
@pytest.mark.parametrize(
    ("file", "part"),
    [
        ("tiny_ir", ".xml"),
        ("tiny_ir", ".bin"),
        pytest.param("tiny_onnx", ".onnx", marks=pytest.mark.needs("onnxruntime")),
        pytest.param("tiny_checkpoint", ".safetensors", marks=pytest.mark.needs("torch")),
    ],
)
def test_cut_model(
    danet: Danet, cut: Any, file: str, part: str, share: float, scene_file: Path, request: pytest.FixtureRequest
) -> None:
    model = cut(request.getfixturevalue(file), part, share)
    out = model.with_name("out.json")
    assert model.name in danet("infer", model, scene_file, "--json", out, "--draw", model.with_name("o.png")).error()
    assert not out.exists()
    assert not model.with_name("o.png").exists()


def test_ir_without_its_weights(danet: Danet, cut: Any, tiny_ir: Path, scene_file: Path) -> None:
    model = cut(tiny_ir, ".bin")
    model.with_suffix(".bin").unlink()
    assert ".bin" in danet("infer", model, scene_file).error()


@pytest.mark.parametrize(
    "suffix",
    [
        *(
            pytest.param(one, marks=pytest.mark.needs("torch"))
            for one in (".pkl", ".pth", ".ckpt", ".pt", ".safetensors")
        ),
        pytest.param(".onnx", marks=pytest.mark.needs("onnxruntime")),
        ".xml",
    ],
)
def test_pickle_with_a_payload(danet: Danet, payload: Any, scene_file: Path, suffix: str) -> None:
    model, mark = payload(suffix)
    assert model.name in danet("infer", model, scene_file).error()
    assert not mark.exists()


@pytest.mark.parametrize("name", ["model.engine", "model", "model.xml", ""])
def test_no_such_model(danet: Danet, name: str, scene_file: Path, tmp_path: Path) -> None:
    danet("infer", tmp_path / name if name else "", scene_file).error()


@pytest.mark.needs("onnx", "onnxruntime")
def test_model_that_says_nothing_of_itself(danet: Danet, tiny_onnx: Path, scene_file: Path, tmp_path: Path) -> None:
    import onnx

    model = onnx.load(tiny_onnx)
    del model.metadata_props[:]
    onnx.save(model, tmp_path / "mute.onnx")
    assert "carries no model spec" in danet("infer", tmp_path / "mute.onnx", scene_file).error()
    model.metadata_props.add(key="danet.model_spec", value='{"name": "x", "stride": "four"}')
    onnx.save(model, tmp_path / "wrong.onnx")
    error = danet("infer", tmp_path / "wrong.onnx", scene_file).error()
    assert "stride" in error
    assert "wrong.onnx" in error


# As a real program


def test_program_on_the_embedded_model(danet_process: Danet, portrait: Path) -> None:
    outcome = danet_process(
        "infer", "danet72", portrait, "--boxes", "-", "--json", "-", input=json.dumps([PORTRAIT_BOX])
    )
    assert outcome.status == 0
    (person,) = persons_of(outcome.out)
    x, y, score = person["keypoints"]["nose"]
    assert 190 < x < 240  # Eileen Collins' nose
    assert 90 < y < 150
    assert score > 0.3
    assert outcome.err.splitlines()[0].startswith(f"{portrait}: 1 person,")


def test_program_on_a_broken_model(danet_process: Danet, cut: Any, tiny_ir: Path, scene_file: Path) -> None:
    outcome = danet_process("infer", cut(tiny_ir, ".bin"), scene_file, "--json", "-")
    assert "OpenVINO cannot read it" in outcome.error()
    assert outcome.out == ""


def test_program_on_a_folder_of_pictures_with_json_to_a_file(
    danet_process: Danet, tiny_ir: Path, scene_file: Path, portrait: Path, tmp_path: Path
) -> None:
    out = tmp_path / "deep" / "poses.json"
    outcome = danet_process("infer", tiny_ir, scene_file, portrait, "--json", out)
    assert (outcome.status, outcome.out) == (0, "")
    assert len(json.loads(out.read_text())["images"]) == 2
    assert [path.name for path in out.parent.iterdir()] == ["poses.json"]


def test_persons_found_by_a_detector(danet: Danet, tmp_path: Path) -> None:
    """HOG finds the standing person of a rendered clip; the box goes to the estimator as xyxy."""
    clip = render_clip(3, size=(480, 640), persons=1, seconds=0.2, script="squat")
    picture = tmp_path / "person.png"
    cv2.imwrite(str(picture), clip[0].image)
    done = danet("infer", "null", picture, "--backend", "null", "--detector", "hog", "--json", "-", "--threads", 1)
    assert done.status == 0
    persons = json.loads(done.out)["images"][0]["persons"]
    assert persons
    truth = clip[0].scene.boxes[0]
    assert max(float(iou(np.array([person["box"]]), truth[None])[0, 0]) for person in persons) > 0.5


def test_detector_and_boxes_exclude_each_other(danet: Danet, scene_file: Path) -> None:
    done = danet("infer", "danet72", scene_file, "--detector", "hog", "--boxes", "-")
    assert done.status == 2
    assert "not allowed with argument" in done.err


def test_poses_that_cannot_be_kept_are_told_before_any_are_found(
    danet: Danet, scene_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setattr(infer, "open_estimator", lambda *_: pytest.fail("work was begun"))
    done = danet("infer", "danet72", scene_file, "--json", tmp_path / "file" / "poses.json")
    assert done.error() == f"{tmp_path}/file/poses.json: {tmp_path}/file is a file, expected a folder"


def test_patterns_that_the_shell_has_left(danet: Danet, tiny_ir: Path, scene_file: Path, tmp_path: Path) -> None:
    """That of Windows expands none."""
    for name in ("b10.png", "b9.png", "[1].png"):
        shutil.copy(scene_file, tmp_path / name)
    done = danet("infer", tiny_ir, tmp_path / "b*.png", tmp_path / "[1].png", "--json", "-")
    names = [Path(one["file"]).name for one in json.loads(done.out)["images"]]
    assert names == ["b9.png", "b10.png", "[1].png"]
    done = danet("infer", tiny_ir, tmp_path / "c*.png", scene_file, "--json", tmp_path / "poses.json")
    assert done.status == 1
    assert "c*.png: No such file" in done.err
    assert len(json.loads((tmp_path / "poses.json").read_text())["images"]) == 1  # it costs no other


@pytest.mark.parametrize(("option", "value"), [("--threshold", "50"), ("--head", "yolo")])
def test_values_out_of_range(danet: Danet, scene_file: Path, option: str, value: str) -> None:
    done = danet("infer", "danet72", scene_file, "--draw", "a.png", "--detector", "a.onnx", option, value)
    assert done.status == 2
    assert f"argument {option}" in done.err


def test_box_format_is_not_the_detectors(danet: Danet, scene_file: Path) -> None:
    done = danet("infer", "danet72", scene_file, "--detector", "hog", "--box-format", "xywh")
    assert done.status == 2
    assert "it is for --boxes" in done.err


@pytest.mark.parametrize("detector", [(), ("--detector", "hog")])
@pytest.mark.parametrize("told", [("--head", "yolox"), ("--person-class", 0)])
def test_what_is_for_a_detectors_file(
    danet: Danet, scene_file: Path, detector: tuple[str, ...], told: tuple[object, ...]
) -> None:
    done = danet("infer", "danet72", scene_file, *detector, *told)
    assert done.status == 2
    assert f"{told[0]} is for a detector's file" in done.err


def test_head_and_person_class_reach_the_detector(
    danet: Danet, scene_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[dict[str, Any]] = []

    class Finder:
        def __init__(self, model: str, **options: Any) -> None:
            told.append(options)

        def detect(self, frame: np.ndarray) -> Detections:
            return Detections(np.array([[10, 10, 90, 200]], np.float32), np.ones(1, np.float32))

    monkeypatch.setattr(opening, "OnnxDetector", Finder)
    monkeypatch.setattr(opening, "_refuse_unknown", lambda *_: None)
    arguments = ("infer", "null", scene_file, "--backend", "null", "--detector", "end2end.onnx", "--threads", 1)
    assert danet(*arguments, "--head", "rtmdet", "--person-class", 0).status == 0
    assert danet(*arguments).status == 0
    assert told == [
        {"threads": 1, "head": "rtmdet", "person_class": 0},
        {"threads": 1, "head": None, "person_class": None},
    ]


def test_unknown_detector(danet: Danet, scene_file: Path) -> None:
    assert "no detector 'haar'" in danet("infer", "danet72", scene_file, "--detector", "haar").error()
