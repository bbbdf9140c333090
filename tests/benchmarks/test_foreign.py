from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import openvino as ov
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from openvino import opset13 as ops

from danet.backends.base import BackendOptions
from danet.backends.registry import load_model
from danet.crop import crop_affines, crop_persons
from danet.decode import average_flipped, decode
from danet.errors import InputError, ModelFileError, ModelSpecError
from danet.estimator import PoseEstimator
from danet.model_spec import DecoderSpec, ModelSpec
from danet_benchmarks.foreign import ForeignModel, wrap_foreign
from danet_benchmarks.preparation import ModelFiles
from danet_evaluation.coco import load_split
from danet_evaluation.evaluate import evaluate

SHARED = Path(__file__).parents[2].parent / "shared" / "data"
TINYPOSE = SHARED / "models" / "pp_tinypose_256x192.xml"
PEOPLE17 = SHARED / "people17"
Save = Callable[..., Path]


def sampled(pixels: Any, keypoints: int = 17) -> Any:
    """Heatmaps that are every fourth pixel of a channel: cell i lies exactly on pixel 4 i."""
    weights = np.zeros((keypoints, 3, 1, 1), np.float32)
    weights[np.arange(keypoints), np.arange(keypoints) % 3] = 0.5
    return ops.convolution(pixels, weights, [4, 4], [0, 0], [0, 0], [1, 1])


@pytest.fixture
def save(tmp_path: Path) -> Save:
    """Saves a graph of a float32 input and some outputs as an IR."""

    def write(*outputs: Callable[[Any], Any], shape: Any = (1, 3, 256, 192), kind: Any = np.float32) -> Path:
        pixels = ops.parameter(list(shape), kind, name="pixels")
        results = [output(pixels) for output in outputs]
        for number, result in enumerate(results):
            result.output(0).get_tensor().set_names({f"out{number}"})
        path = tmp_path / "given" / "net.xml"
        ov.save_model(ov.Model(results, [pixels], "net"), path, compress_to_fp16=False)
        return path

    return write


@pytest.fixture
def crops() -> NDArray[np.uint8]:
    return np.random.default_rng(3).integers(0, 256, (3, 256, 192, 3), dtype=np.uint8)


def answers(path: Path, images: NDArray[np.uint8]) -> NDArray[np.float32]:
    backend = load_model(path, None, BackendOptions(threads=1)).backend
    try:
        return backend.run(images)
    finally:
        backend.close()


def expected_of(images: NDArray[np.uint8], foreign: ForeignModel) -> NDArray[np.float32]:
    """What `sampled` makes of crops in a network's colour order and normalisation."""
    normalised = (images.astype(np.float32) - np.float32(foreign.mean)) / np.float32(foreign.std)
    channels = normalised if foreign.color_order == "BGR" else normalised[..., ::-1]
    return np.stack([channels[:, ::4, ::4, index % 3] / 2 for index in range(17)], axis=1)


# What the wrapped file is and computes


def test_file_has_the_form_of_ours(save: Save, tmp_path: Path) -> None:
    given = save(sampled, lambda pixels: ops.reduce_mean(pixels, [1, 2, 3]))
    foreign = ForeignModel(given, licence="CC0", training_data="nothing", box_padding=1.1)
    path = wrap_foreign(foreign, tmp_path / "wrapped")
    assert {one.name for one in path.parent.iterdir()} == {"net.xml", "net.bin"}
    model = ov.Core().read_model(path)
    assert (model.input("images"), model.output("heatmaps")) == (model.input(0), model.output(0))
    assert (model.input(0).element_type, model.output(0).element_type) == (ov.Type.u8, ov.Type.f32)
    assert model.input(0).partial_shape == ov.PartialShape([-1, 256, 192, 3])
    assert model.output(0).partial_shape == ov.PartialShape([-1, 17, 64, 48])
    assert len(model.outputs) == 1
    expected = ModelSpec("net", "foreign", box_padding=1.1, licence="CC0", training_data="nothing")
    assert load_model(path, None, BackendOptions()).spec == replace(expected, decoder=DecoderSpec(blur_kernel=1))


@pytest.mark.parametrize("color_order", ["RGB", "BGR"])
def test_colours_and_normalisation(color_order: Any, save: Save, tmp_path: Path, crops: NDArray[np.uint8]) -> None:
    foreign = ForeignModel(
        save(sampled), color_order=color_order, cells="centre", mean=(10.0, 20.0, 30.0), std=(1.5, 2.5, 3.5)
    )
    found = answers(wrap_foreign(foreign, tmp_path), crops)
    np.testing.assert_allclose(found, expected_of(crops, foreign), rtol=1e-5, atol=1e-4)


def test_corner_cells_are_moved_by_three_eighths(save: Save, tmp_path: Path, crops: NDArray[np.uint8]) -> None:
    foreign = ForeignModel(save(sampled))
    found = answers(wrap_foreign(foreign, tmp_path), crops)
    padded = np.pad(expected_of(crops, foreign), ((0, 0), (0, 0), (0, 1), (0, 1)))
    rows = 0.625 * padded[:, :, :-1] + 0.375 * padded[:, :, 1:]
    np.testing.assert_allclose(found, 0.625 * rows[..., :-1] + 0.375 * rows[..., 1:], rtol=1e-5, atol=1e-4)


def spots(x: float, y: float) -> NDArray[np.uint8]:
    """A crop with one soft white spot around a pixel."""
    rows, columns = np.mgrid[:256, :192]
    spot = 255 * np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * 8.0**2))
    return np.repeat(spot[None, ..., None], 3, axis=3).round().astype(np.uint8)


def test_corner_cells_are_decoded_where_they_lie(save: Save, tmp_path: Path) -> None:
    path = wrap_foreign(ForeignModel(save(sampled), mean=(0.0, 0.0, 0.0), std=(255.0, 255.0, 255.0)), tmp_path)
    spec = ModelSpec("net", decoder=DecoderSpec(blur_kernel=1))
    crop = spots(81.0, 122.0)
    plain, mirrored = answers(path, crop), answers(path, np.ascontiguousarray(crop[:, :, ::-1]))
    # the flip test averages maps that lie on each other
    assert np.abs(average_flipped(plain, mirrored, spec) - plain).max() < 0.005
    assert np.abs(decode(plain, spec)[0] - (81.0, 122.0)).max() < 1.2  # the decoder's grid is 4 px, less a quarter


def test_batch_that_the_graph_holds_stays(save: Save, tmp_path: Path, crops: NDArray[np.uint8]) -> None:
    path = wrap_foreign(
        ForeignModel(save(lambda pixels: sampled(ops.reshape(pixels, [1, 3, 256, 192], False)))), tmp_path
    )
    assert ov.Core().read_model(path).input(0).partial_shape == ov.PartialShape([1, 256, 192, 3])
    with PoseEstimator(path) as estimator:
        assert estimator.heatmaps(crops).shape == (3, 17, 64, 48)


def test_batch_that_persons_would_share_stays(save: Save, tmp_path: Path) -> None:
    def mixing(pixels: Any) -> Any:
        return sampled(ops.subtract(pixels, ops.reduce_mean(pixels, [0], True)))

    path = wrap_foreign(ForeignModel(save(mixing)), tmp_path)
    assert ov.Core().read_model(path).input(0).partial_shape == ov.PartialShape([1, 256, 192, 3])


def test_other_sizes(save: Save, tmp_path: Path) -> None:
    path = wrap_foreign(
        ForeignModel(save(sampled, shape=(-1, 3, -1, -1)), input_size=(128, 96), name="small"), tmp_path
    )
    spec = load_model(path, None, BackendOptions()).spec
    assert spec is not None
    assert (spec.name, spec.input_size, spec.stride) == ("small", (128, 96), 4)
    assert answers(path, np.zeros((2, 128, 96, 3), np.uint8)).shape == (2, 17, 32, 24)


def test_onnx_becomes_an_ir(tmp_path: Path, crops: NDArray[np.uint8]) -> None:
    weights = np.zeros((17, 3, 1, 1), np.float32)
    weights[np.arange(17), np.arange(17) % 3] = 0.5
    graph = helper.make_graph(
        [helper.make_node("Conv", ["pixels", "weights"], ["maps"], strides=[4, 4])],
        "net",
        [helper.make_tensor_value_info("pixels", TensorProto.FLOAT, ["N", 3, 256, 192])],
        [helper.make_tensor_value_info("maps", TensorProto.FLOAT, ["N", 17, 64, 48])],
        [numpy_helper.from_array(weights, "weights")],
    )
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), tmp_path / "net.onnx"
    )
    foreign = ForeignModel(tmp_path / "net.onnx", cells="centre")
    found = answers(wrap_foreign(foreign, tmp_path), crops)
    np.testing.assert_allclose(found, expected_of(crops, foreign), rtol=1e-5, atol=1e-4)


def halved(pixels: Any) -> Any:
    return ops.add(sampled(pixels), ops.convert(ops.constant(np.zeros((1, 17, 1, 1), np.float16)), "f32"))


def quantized(pixels: Any) -> Any:
    return sampled(ops.fake_quantize(pixels, *(np.float32(edge) for edge in (-3, 3, -3, 3)), 256))


@pytest.mark.parametrize(("output", "precision"), [(sampled, "fp32"), (halved, "fp16"), (quantized, "int8")])
def test_precision_is_that_of_the_weights(output: Any, precision: str, save: Save, tmp_path: Path) -> None:
    spec = load_model(wrap_foreign(ForeignModel(save(output)), tmp_path), None, BackendOptions()).spec
    assert spec is not None
    assert spec.precision == precision


def test_two_trainings_of_one_network_are_two_files(save: Save, tmp_path: Path) -> None:
    """They have the same .xml, and differ in its .bin alone."""
    first = save(halved)
    second = Path(shutil.copy(first, tmp_path / first.name))
    weights = np.frombuffer(first.with_suffix(".bin").read_bytes(), np.uint8).copy()
    weights[:34] = np.ones(17, np.float16).view(np.uint8)
    second.with_suffix(".bin").write_bytes(weights.tobytes())
    wrapped = [ModelFiles().wrap_foreign(path, tmp_path / "exported") for path in (first, second)]
    assert wrapped[0] != wrapped[1]
    assert wrapped[0].name == wrapped[1].name


def test_one_of_several_heatmaps(save: Save, tmp_path: Path, crops: NDArray[np.uint8]) -> None:
    given = save(lambda pixels: ops.multiply(sampled(pixels), np.float32(2)), sampled)
    with pytest.raises(ModelFileError, match=r"2 outputs are heatmaps, .*out0 .*out1 .*name one as output"):
        wrap_foreign(ForeignModel(given), tmp_path)
    foreign = ForeignModel(given, cells="centre", output="out1")
    np.testing.assert_allclose(
        answers(wrap_foreign(foreign, tmp_path), crops), expected_of(crops, foreign), rtol=1e-5, atol=1e-4
    )


# What is refused


def test_files_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match=r"there\.onnx: no such file"):
        wrap_foreign(ForeignModel(tmp_path / "there.onnx"), tmp_path)
    for name in ("broken.xml", "broken.onnx", "net.engine"):
        (tmp_path / name).write_text("no model")
    with pytest.raises(ModelFileError, match=r"suffix '.engine', expected .xml or .onnx"):
        wrap_foreign(ForeignModel(tmp_path / "net.engine"), tmp_path)
    for name in ("broken.xml", "broken.onnx"):
        with pytest.raises(ModelFileError, match=rf"{name}: OpenVINO cannot read it"):
            wrap_foreign(ForeignModel(tmp_path / name), tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("shape", "kind"), [((1, 3, 384, 288), np.float32), ((1, 256, 192, 3), np.float32), ((1, 3, 256, 192), np.uint8)]
)
def test_other_inputs(shape: Any, kind: Any, save: Save, tmp_path: Path) -> None:
    given = save(lambda pixels: ops.relu(ops.convert(pixels, "f32")), shape=shape, kind=kind)
    with pytest.raises(
        ModelFileError, match=r"takes .*, expected one float32 \[\?,3,256,192\]; or give its input_size"
    ):
        wrap_foreign(ForeignModel(given), tmp_path)


@pytest.mark.parametrize(
    "output",
    [
        lambda pixels: ops.reduce_mean(pixels, [2, 3]),
        lambda pixels: sampled(pixels, 16),
        lambda pixels: ops.transpose(sampled(pixels), [0, 2, 3, 1]),
    ],
    ids=["no map", "16 keypoints", "channels last"],
)
def test_outputs_that_are_no_heatmaps(output: Any, save: Save, tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match=r"0 outputs are heatmaps, expected one .*it gives out0"):
        wrap_foreign(ForeignModel(save(output)), tmp_path)


def test_values_out_of_range(save: Save, tmp_path: Path) -> None:
    given = save(sampled)
    with pytest.raises(InputError, match="color_order is 'GRB', expected RGB or BGR"):
        ForeignModel(given, color_order="GRB")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="cells is 'edge', expected corner or centre"):
        ForeignModel(given, cells="edge")  # type: ignore[arg-type]
    with pytest.raises(ModelSpecError, match="std"):
        wrap_foreign(ForeignModel(given, std=(0.0, 1.0, 1.0)), tmp_path)
    with pytest.raises(InputError, match="would overwrite the given file"):
        wrap_foreign(ForeignModel(given), given.parent)
    assert {path.name for path in tmp_path.iterdir()} == {"given"}


# PP-TinyPose


@pytest.fixture(scope="module")
def tinypose(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if not TINYPOSE.is_file():
        pytest.skip(f"PP-TinyPose is not at {TINYPOSE}")
    return wrap_foreign(ForeignModel(TINYPOSE, name="pp-tinypose"), tmp_path_factory.mktemp("tinypose"))


@pytest.fixture(scope="module")
def persons() -> NDArray[np.uint8]:
    """Crops of 16 persons of people17."""
    if not (PEOPLE17 / "val.json").is_file():
        pytest.skip(f"the data set people17 is not at {PEOPLE17}")
    images = load_split(PEOPLE17, "val").first(16).images()
    spec = ModelSpec("crops")
    return np.concatenate(
        [
            crop_persons(picture.read(), crop_affines(np.stack([person.box for person in on_it]), spec), spec)
            for _, picture, on_it in images
        ]
    )


def test_tinypose_answers_as_the_given_file(tinypose: Path, persons: NDArray[np.uint8]) -> None:
    normalised = (persons / 255 - (0.406, 0.456, 0.485)) / (0.225, 0.224, 0.229)
    network = ov.Core().compile_model(TINYPOSE, "CPU", {"INFERENCE_PRECISION_HINT": ov.Type.f32})
    raw = [network(crop[None, ..., ::-1].transpose(0, 3, 1, 2).astype(np.float32))[0] for crop in normalised[:4]]
    padded = np.pad(np.concatenate(raw), ((0, 0), (0, 0), (0, 1), (0, 1)))
    rows = 0.625 * padded[:, :, :-1] + 0.375 * padded[:, :, 1:]
    expected = 0.625 * rows[..., :-1] + 0.375 * rows[..., 1:]
    np.testing.assert_allclose(answers(tinypose, persons[:4]), expected, atol=1e-4)


def test_tinypose_has_its_cells_at_4i(tinypose: Path, persons: NDArray[np.uint8]) -> None:
    # a keypoint and the mirror image's lie at x and 191 - x; on all of people17 val they miss by 0.02 px
    # (9,313 keypoints, standard error 0.02 px), and without the move they would by 3 px
    spec = ModelSpec("tinypose", decoder=DecoderSpec(blur_kernel=5))
    points, scores = decode(answers(tinypose, persons), spec)
    mirrored, _ = decode(answers(tinypose, np.ascontiguousarray(persons[:, :, ::-1])), spec)
    miss = (points[..., 0] + mirrored[:, spec.flip_order, 0] - 191)[scores > 0.6]
    assert len(miss) > 100
    assert abs(miss[np.abs(miss) < 12].mean()) < 0.5


@pytest.mark.long
def test_tinypose_finds_people(tinypose: Path) -> None:
    if not (PEOPLE17 / "val.json").is_file():
        pytest.skip(f"the data set people17 is not at {PEOPLE17}")
    with PoseEstimator(tinypose, flip_test=True) as estimator:
        figures = evaluate(estimator, load_split(PEOPLE17, "val").first(32)).figures
    assert figures.ap > 0.7


def test_cells_are_said_once() -> None:
    with pytest.raises(InputError, match=r"decoder\.flip_shift is 1, expected 0: `cells` says"):
        ForeignModel(Path("other.onnx"), decoder=DecoderSpec(flip_shift=1))
