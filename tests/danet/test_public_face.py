from __future__ import annotations

import inspect
import subprocess
import sys
from importlib.metadata import version

import pytest

import danet
from danet import errors

PARAMETERS = {
    "model": inspect.Parameter.empty,
    "spec": None,
    "decoder": None,
    "box_padding": None,
    "backend": None,
    "device": "CPU",
    "precision": None,
    "threads": None,
    "batch_size": None,
    "flip_test": False,
    "box_format": "xyxy",
    "settings": None,
}


def test_exported_names() -> None:
    assert sorted(danet.__all__) == [
        "Backend",
        "BackendError",
        "DanetError",
        "DecoderSpec",
        "Detections",
        "Detector",
        "DetectorError",
        "InputError",
        "Metric",
        "MissingExtraError",
        "ModelFileError",
        "ModelSpec",
        "ModelSpecError",
        "OneEuroSettings",
        "PoseEstimator",
        "PosePipeline",
        "Poses",
        "SourceError",
        "Tracker",
        "TrackerSettings",
        "open_detector",
        "open_source",
    ]
    assert all(hasattr(danet, name) for name in danet.__all__)


def test_the_estimators_arguments() -> None:
    signature = inspect.signature(danet.PoseEstimator)
    assert {name: one.default for name, one in signature.parameters.items()} == PARAMETERS
    keyword_only = [name for name, one in signature.parameters.items() if one.kind is one.KEYWORD_ONLY]
    assert keyword_only == [name for name in PARAMETERS if name != "model"]


@pytest.mark.parametrize(
    ("method", "parameters"),
    [
        ("infer", ["self", "frame", "boxes"]),
        ("infer_batch", ["self", "frames"]),
        ("stream", ["self", "frames"]),
        ("close", ["self"]),
        ("__enter__", ["self"]),
    ],
)
def test_the_estimators_methods(method: str, parameters: list[str]) -> None:
    assert list(inspect.signature(getattr(danet.PoseEstimator, method)).parameters) == parameters


def test_the_fields_of_poses() -> None:
    fields = ["keypoints", "scores", "boxes", "names", "skeleton", "ids"]
    assert list(inspect.signature(danet.Poses).parameters) == fields


@pytest.mark.parametrize("name", [name for name in danet.__all__ if name.endswith("Error")])
def test_every_error_is_a_danet_error(name: str) -> None:
    assert issubclass(getattr(errors, name), errors.DanetError)


def test_errors_are_also_what_python_calls_them() -> None:
    assert issubclass(errors.InputError, ValueError)
    assert issubclass(errors.MissingExtraError, ImportError)


def test_the_runtime_starts_without_heavy_libraries() -> None:
    heavy = [
        "torch",
        "onnx",
        "onnxruntime",
        "openvino",
        "nncf",
        "pycocotools",
        "matplotlib",
        "supervision",
        "av",
        "gradio",
        "asyncio",
    ]
    program = f"import sys, danet; print([name for name in {heavy} if name in sys.modules])"
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert found.stdout.strip() == "[]"


def test_importing_danet_imports_nothing_slow() -> None:
    """An app that opens its camera first does not wait for what it asks for later."""
    code = "import sys, danet; print(sorted({'numpy', 'cv2', 'openvino', 'danet.estimator'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "[]"


def test_names_that_do_not_exist() -> None:
    with pytest.raises(AttributeError, match="module 'danet' has no attribute 'PoseEstimater'"):
        danet.PoseEstimater  # noqa: B018
    assert set(danet.__all__) <= set(dir(danet))


def test_version() -> None:
    assert danet.__version__ == version("danet-edge")
