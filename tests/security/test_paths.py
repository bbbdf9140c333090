"""Names in files do not become paths elsewhere; what is written goes where it should, with usual permissions."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from danet.errors import InputError, ModelFileError, ModelSpecError, SourceError
from danet.files import write_beside
from danet.model_spec import ModelSpec
from danet.video.file_source import FileSource
from danet_evaluation.coco import load_coco

OUTSIDE = (
    "../secret.png",
    "/etc/passwd",
    "a/../../secret.png",
    "..\\secret.png",
    "C:\\secret.png",
    "C:secret.png",
    "\\x",
)


def annotations(file_name: object) -> str:
    person = {"id": 1, "image_id": 1, "bbox": [0, 0, 9, 9], "keypoints": [1, 1, 2] * 17}
    return json.dumps({"images": [{"id": 1, "file_name": file_name}], "annotations": [person]})


@pytest.mark.parametrize("name", [*OUTSIDE, "a\0b", None, 7, ["x"]])
def test_annotations_do_not_lead_out_of_their_folder(tmp_path: Path, name: object) -> None:
    cv2.imwrite(str(tmp_path / "secret.png"), np.zeros((9, 9, 3), np.uint8))
    images = tmp_path / "images"
    images.mkdir()
    file = tmp_path / "val.json"
    file.write_text(annotations(name))
    with pytest.raises(InputError, match="not in COCO's keypoint format"):
        load_coco(file, [images])


@pytest.mark.parametrize("name", ["1.png", "sub/2.png", "a..b.png", "ä ö.png"])
def test_annotations_may_name_pictures_below_it(tmp_path: Path, name: str) -> None:
    path = tmp_path / "images" / name
    path.parent.mkdir(parents=True)
    cv2.imencode(".png", np.zeros((9, 9, 3), np.uint8))[1].tofile(path)
    file = tmp_path / "val.json"
    file.write_text(annotations(name))
    assert load_coco(file, [tmp_path / "images"]).persons[0].picture.read().shape == (9, 9, 3)


@pytest.mark.parametrize("name", [*OUTSIDE, "a/b", "", ".", "..", ".hidden", "a\nb", "a\x1b[2Jb", "x" * 101, "a\0"])
def test_a_spec_names_no_file_elsewhere(name: str) -> None:
    """`danet convert` and `danet quantize` call what they write by the spec's name."""
    with pytest.raises(ModelSpecError, match="name is"):
        ModelSpec.from_json(json.dumps({"name": name}))
    with pytest.raises(ModelSpecError, match="name is"):
        replace(ModelSpec("x"), name=name)


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX permissions and links")
class TestWriting:
    @pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664)])
    def test_the_umask_decides_the_permissions(self, tmp_path: Path, umask: int, mode: int) -> None:
        before = os.umask(umask)
        try:
            with write_beside(tmp_path / "x") as temporary:
                assert temporary.parent.stat().st_mode & 0o777 == 0o700  # nobody else can get at it meanwhile
                temporary.write_text("new")
        finally:
            os.umask(before)
        assert (tmp_path / "x").stat().st_mode & 0o777 == mode

    def test_a_link_is_replaced_and_not_written_through(self, tmp_path: Path) -> None:
        victim = tmp_path / "victim"
        victim.write_text("old")
        (tmp_path / "x").symlink_to(victim)
        with write_beside(tmp_path / "x") as temporary:
            temporary.write_text("new")
        assert victim.read_text() == "old"
        assert (tmp_path / "x").read_text() == "new"
        assert not (tmp_path / "x").is_symlink()


def external(location: str, path: Path) -> None:
    """An ONNX file whose weights lie in another file."""
    onnx = pytest.importorskip("onnx")
    tensor = onnx.TensorProto(name="w", data_type=1, dims=[3], data_location=onnx.TensorProto.EXTERNAL)
    tensor.external_data.add(key="location", value=location)
    nodes = [
        onnx.helper.make_node("Cast", ["x"], ["floats"], to=1),
        onnx.helper.make_node("Add", ["floats", "w"], ["y"]),
    ]
    ports = [onnx.helper.make_tensor_value_info(name, kind, [1, 4, 4, 3]) for name, kind in (("x", 2), ("y", 1))]
    graph = onnx.helper.make_graph(nodes, "g", ports[:1], ports[1:], [tensor])
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 13)])
    model.ir_version = 8
    path.write_bytes(model.SerializeToString())


@pytest.mark.parametrize("backend", ["onnxruntime", "openvino"])
@pytest.mark.parametrize("kind", ["up", "absolute", "link"])
def test_onnx_weights_elsewhere_are_not_read(tmp_path: Path, kind: str, backend: str) -> None:
    """ONNX Runtime's and OpenVINO's own doing; if this fails, a version has stopped to refuse."""
    from danet.backends.base import BackendOptions
    from danet.backends.registry import load_model

    pytest.importorskip(backend)
    secret = tmp_path / "secret.bin"
    secret.write_bytes(np.ones(3, np.float32).tobytes())
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "link.bin").symlink_to(secret)
    external({"up": "../secret.bin", "absolute": str(secret), "link": "link.bin"}[kind], folder / "m.onnx")
    with pytest.raises(ModelFileError, match="cannot read it"):
        load_model(folder / "m.onnx", backend, BackendOptions())
    external("w.bin", folder / "m.onnx")  # the same file with its weights beside it is read
    secret.rename(folder / "w.bin")
    load_model(folder / "m.onnx", backend, BackendOptions()).backend.close()


def test_an_ir_reads_no_entity_and_nothing_outside_its_weights(tmp_path: Path) -> None:
    from danet.backends.base import BackendOptions
    from danet.backends.registry import load_model

    ov = pytest.importorskip("openvino")
    opset = pytest.importorskip("openvino.opset13")
    pixels = opset.parameter([1, 4, 4, 3], np.float32)
    weights = opset.constant(np.ones((1, 1, 1, 3), np.float32))
    path = tmp_path / "m.xml"
    ov.save_model(ov.Model([opset.add(pixels, weights)], [pixels]), path, compress_to_fp16=False)
    whole = path.read_text()

    secret = tmp_path / "secret"
    secret.write_text("the secret")
    entity = f'<!DOCTYPE net [<!ENTITY x SYSTEM "{secret.as_uri()}">]>'
    path.write_text(whole.replace("?>", f"?>{entity}", 1).replace('<net name="', '<net name="&x;', 1))
    assert "the secret" not in ov.Core().read_model(path).get_friendly_name()

    assert 'offset="0"' in whole
    for bad in ("12", "4096", "-8", "18446744073709551608"):
        path.write_text(whole.replace('offset="0"', f'offset="{bad}"'))
        with pytest.raises(ModelFileError, match="cannot read it"):
            load_model(path, "openvino", BackendOptions())


def clip(path: Path) -> None:
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), 10, (64, 64))
    for _ in range(5):
        writer.write(np.full((64, 64, 3), 200, np.uint8))
    writer.release()


def test_a_playlist_with_a_video_s_name_is_not_followed(tmp_path: Path) -> None:
    clip(tmp_path / "private.mp4")
    concat = b"ffconcat version 1.0\nfile private.mp4\n"
    hls = f"#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\n{tmp_path}/private.mp4\n#EXT-X-ENDLIST\n".encode()
    for content in (concat, hls, b"v=0\no=- 0 0 IN IP4 127.0.0.1\n", b"\xef\xbb\xbf#EXTM3U\n"):
        (tmp_path / "clip.mp4").write_bytes(content)
        with pytest.raises(SourceError, match="a playlist, which names other files"):
            FileSource(tmp_path / "clip.mp4")
    (tmp_path / "list.ffconcat").write_bytes(concat)  # who says that it is one wants it
    with FileSource(tmp_path / "list.ffconcat") as source:
        assert len(list(source)) == 5


@pytest.mark.needs("nncf")
def test_nor_by_calibration(tmp_path: Path) -> None:
    from danet_calibration.candidates import video_candidates

    clip(tmp_path / "private.mp4")
    (tmp_path / "clip.mp4").write_bytes(b"ffconcat version 1.0\nfile private.mp4\n")
    with pytest.raises(InputError, match="a playlist, which names other files"):
        video_candidates(tmp_path / "clip.mp4", None, 2)
    assert len(video_candidates(tmp_path / "private.mp4", None, 2)) == 2
