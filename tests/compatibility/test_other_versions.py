"""Files of a future version, and files that say nothing of themselves, are refused with what to do."""

from __future__ import annotations

import html
import io
import json
import re
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from danet.errors import DanetError, ModelFileError, ModelSpecError
from danet.estimator import PoseEstimator
from danet.model_spec import FORMAT_VERSION, SPEC_KEY, ModelSpec
from danet.tuning.record import Tuning

GOLDEN = Path(__file__).parent / "golden" / "version-1"
TEXTS = GOLDEN.parent / "texts"
NEEDS = {".safetensors": "torch", ".pt": "torch", ".onnx": "onnxruntime", ".tflite": "ai_edge_litert"}
FORMATS = [
    pytest.param(suffix, marks=pytest.mark.needs(NEEDS[suffix]) if suffix in NEEDS else ())
    for suffix in (".xml", ".onnx", ".tflite", ".safetensors", ".pt")
]
UPDATE = "this danet reads up to {}; update danet-edge"
Change = Callable[[str], str] | None
"""From the spec's JSON to what the file is to say instead; None: nothing."""


def of_version(version: int, **unknown: object) -> Callable[[str], str]:
    return lambda text: json.dumps({**json.loads(text), "format_version": version, **unknown})


@pytest.mark.parametrize("version", [FORMAT_VERSION + 1, 99])
@pytest.mark.parametrize("suffix", FORMATS)
def test_model_file_of_the_future(suffix: str, version: int, tmp_path: Path) -> None:
    path = changed(GOLDEN / f"tiny{suffix}", tmp_path, of_version(version, lens="fisheye"))
    with pytest.raises(ModelSpecError, match=rf"tiny\{suffix}: .*format {version}, {UPDATE.format(FORMAT_VERSION)}"):
        PoseEstimator(path)


@pytest.mark.parametrize("suffix", FORMATS)
def test_the_change_alone_does_no_harm(suffix: str, tmp_path: Path) -> None:
    path = changed(GOLDEN / f"tiny{suffix}", tmp_path, lambda text: text.replace("CC0", "CC1"))
    with PoseEstimator(path, threads=1) as estimator:
        assert estimator.spec.licence == "CC1"


@pytest.mark.parametrize(
    ("suffix", "error", "message"),
    [
        pytest.param(*one.values, *expected, marks=one.marks)
        for one, expected in zip(
            FORMATS,
            [(ModelSpecError, r"carries no model spec.* pass PoseEstimator\(\.\.\., spec=ModelSpec")] * 3
            + [
                (ModelFileError, r"write it with save_checkpoint"),
                (ModelFileError, r"does not fit|no network|expected"),
            ],
            strict=True,
        )
    ],
)
def test_model_file_without_a_spec(suffix: str, error: type[DanetError], message: str, tmp_path: Path) -> None:
    path = changed(GOLDEN / f"tiny{suffix}", tmp_path, None)
    with pytest.raises(error, match=message) as raised:
        PoseEstimator(path)
    assert path.name in str(raised.value)


@pytest.mark.parametrize("suffix", FORMATS[:3])
def test_without_a_spec_an_argument_stands_in(suffix: str, tmp_path: Path) -> None:
    path = changed(GOLDEN / f"tiny{suffix}", tmp_path, None)
    spec = ModelSpec.from_json((GOLDEN / "model_spec.json").read_text())
    with PoseEstimator(path, spec=spec, threads=1) as estimator:
        assert estimator.spec == spec


@pytest.mark.parametrize("version", [FORMAT_VERSION + 1, 99])
def test_spec_of_the_future(version: int) -> None:
    text = of_version(version)((GOLDEN / "model_spec.json").read_text())
    with pytest.raises(ModelSpecError, match=f"format {version}, {UPDATE.format(FORMAT_VERSION)}"):
        ModelSpec.from_json(text)


def test_tuning_of_the_future_asks_for_a_new_one() -> None:
    """A tuning is thrown away with the version that made it, so it need not be read for ever."""
    content = json.loads((TEXTS / "tuning-1.json").read_text())
    with pytest.raises(ModelFileError, match=r"format 2, .*run danet tune --save again"):
        Tuning.from_json(json.dumps({**content, "format_version": 2}))


def test_benchmark_report_of_the_future() -> None:
    from danet.errors import InputError
    from danet_benchmarks.report.json_form import from_json

    with pytest.raises(InputError, match=r"report\.json: format 99, .*update danet-edge"):
        from_json('{"format_version": 99}', "report.json")


# Changing what a file says of itself, without danet's own writers


def changed(path: Path, folder: Path, change: Change) -> Path:
    """A copy of a model file with another spec: `change` is called with its JSON; None: without a spec."""
    for part in path.parent.glob(f"{path.stem}.*"):
        (folder / part.name).write_bytes(part.read_bytes())
    _CHANGES[path.suffix](folder / path.name, change)
    return folder / path.name


def _in_metadata(values: dict[str, str], change: Change) -> None:
    text = values.pop(SPEC_KEY)
    if change is not None:
        values[SPEC_KEY] = change(text)


def _change_safetensors(path: Path, change: Change) -> None:
    data = path.read_bytes()
    size = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + size])
    _in_metadata(header["__metadata__"], change)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(len(text).to_bytes(8, "little") + text + data[8 + size :])


def _change_torch(path: Path, change: Change) -> None:
    import torch

    content = torch.load(path, weights_only=True)
    text = content.pop("spec")
    content = {**content, "spec": change(text)} if change else content["model"]
    torch.save(content, path)


def _change_onnx(path: Path, change: Change) -> None:
    onnx = pytest.importorskip("onnx", reason="the test changes an ONNX file by means of onnx")
    model = onnx.load(path)
    values = {entry.key: entry.value for entry in model.metadata_props}
    _in_metadata(values, change)
    del model.metadata_props[:]
    onnx.helper.set_model_props(model, values)
    onnx.save(model, path)


def _change_ir(path: Path, change: Change) -> None:
    element = re.compile(r'<danet.model_spec value="([^"]*)" ?/>')
    content = path.read_text(encoding="utf-8")
    text = element.findall(content)[0]  # it is there twice: OpenVINO keeps the metadata of the ONNX graph as well
    made = f'<danet.model_spec value="{html.escape(change(html.unescape(text)))}"/>' if change else ""
    path.write_text(element.sub(lambda _: made, content), encoding="utf-8")


def _change_tflite(path: Path, change: Change) -> None:
    data = path.read_bytes()
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        entries = {entry.filename: archive.read(entry).decode() for entry in archive.infolist()}
        start = min(entry.header_offset for entry in archive.infolist())
    _in_metadata(entries, change)
    written = io.BytesIO(data[:start])
    with zipfile.ZipFile(written, "a") as archive:
        for name, text in entries.items():
            archive.writestr(name, text)
    path.write_bytes(written.getvalue())


_CHANGES = {
    ".safetensors": _change_safetensors,
    ".pt": _change_torch,
    ".onnx": _change_onnx,
    ".xml": _change_ir,
    ".tflite": _change_tflite,
}
