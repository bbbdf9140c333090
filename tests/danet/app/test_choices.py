from __future__ import annotations

from pathlib import Path

import pytest

from danet.app.choices import HOG, WHOLE_PICTURE, offered
from danet.backends import registry
from danet.embedded import embedded_model
from danet.errors import DetectorError, InputError, MissingExtraError, ModelFileError


@pytest.mark.needs("onnxruntime")
def test_what_is_offered(tmp_path: Path) -> None:
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "model.onnx").touch()
    (tmp_path / "finder.onnx").touch()
    same = [str(tmp_path / folder / "model.onnx") for folder in ("one", "two")]
    found = offered(["danet72", same[0], "danet72", same[1]], [str(tmp_path / "finder.onnx")])
    assert list(found.models) == ["danet72", *same]  # two files of one name are told apart
    assert found.backends["danet72"] == ("openvino",)
    assert found.backends[same[0]] == ("onnxruntime", "openvino")
    assert list(found.detectors) == ["finder.onnx", WHOLE_PICTURE, HOG]
    assert found.model("danet72", "openvino") == (embedded_model("danet72"), "openvino")
    assert found.detector("finder.onnx") == str(tmp_path / "finder.onnx")
    assert found.detector(WHOLE_PICTURE) is None


def test_a_file_is_offered_by_its_name(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").touch()
    assert list(offered([str(tmp_path / "model.onnx")]).models) == ["model.onnx"]


def test_only_what_is_offered_can_be_chosen(tmp_path: Path) -> None:
    found = offered(["danet72"])
    with pytest.raises(InputError, match=r"/etc/passwd.* is not offered; there are danet72"):
        found.model("/etc/passwd", "openvino")
    with pytest.raises(InputError, match="'null' is not offered"):
        found.model("danet72", "null")
    with pytest.raises(InputError, match="is not offered"):
        found.detector("/etc/passwd")


def test_what_does_not_exist_is_told_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "model.engine").touch()
    for model, message in (("danet99", "no embedded model"), ("gone.onnx", "no such file")):
        with pytest.raises(ModelFileError, match=message):
            offered([model])
    with pytest.raises(ModelFileError, match="suffix"):
        offered([str(tmp_path / "model.engine")])
    with pytest.raises(DetectorError, match="no such file"):
        offered(["danet72"], ["gone.onnx"])
    with pytest.raises(InputError, match="no model"):
        offered([])


def test_a_model_without_its_backend(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(registry.LIBRARIES, "openvino", ("no_such_library",))
    model = str(embedded_model("danet72", "openvino"))  # by its name its TFLite file may be taken instead
    with pytest.raises(MissingExtraError, match=r"openvino backend needs .*; run: pip install no_such_library$"):
        offered([model])
