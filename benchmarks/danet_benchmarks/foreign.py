"""Any user's pose network, a file without a model spec, made into a file like ours.

The graph gets what DANet's files have: uint8 BGR crops as input, the normalisation inside, the heatmaps
alone as output, a ModelSpec. It is read and written by OpenVINO, so an ONNX file becomes an IR too.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import openvino as ov
from openvino import opset13 as ops
from openvino.preprocess import ColorFormat, PrePostProcessor

from danet.errors import InputError, ModelFileError
from danet.keypoints import COCO_KEYPOINTS
from danet.model_spec import IMAGENET_MEAN_BGR, IMAGENET_STD_BGR, DecoderSpec, ModelSpec, Precision
from danet_converters.export import written_whole
from danet_converters.to_onnx import INPUT, OUTPUT
from danet_converters.to_openvino import save_ir

SUFFIXES = (".xml", ".onnx")
QUARTER_OFFSET = DecoderSpec(blur_kernel=1)
"""Argmax and a quarter of a cell, without blur: as SimpleBaseline and HRNet are tested."""
SAME = 1e-3
"""Part of the heatmaps' range by which a crop's answer may depend on the batch that it comes in."""

ColorOrder = Literal["RGB", "BGR"]
Cells = Literal["corner", "centre"]


@dataclass(frozen=True)
class ForeignModel:
    """What a file without a spec does not say of itself; by default what most public networks do.

    Raises:
        InputError: a colour order or kind of cells that there is not.
    """

    path: Path
    """.xml (with its .bin beside it) or .onnx."""
    name: str | None = None
    """The file's, without suffix, if not given."""
    input_size: tuple[int, int] = (256, 192)
    """Height and width of the crops in pixels."""
    color_order: ColorOrder = "RGB"
    """In which the file takes the channels."""
    mean: tuple[float, float, float] = IMAGENET_MEAN_BGR
    std: tuple[float, float, float] = IMAGENET_STD_BGR
    """Normalisation (pixel - mean) / std that the file expects to be done, in 0..255 and, as in
    ModelSpec, always in the order B, G, R."""
    box_padding: float = 1.25
    cells: Cells = "corner"
    """Where heatmap cell i lies in the crop: at pixel i * stride ("corner": SimpleBaseline, HRNet,
    PaddleDetection) or (i + 0.5) * stride - 0.5 ("centre": DANet, the MegEngine zoo). See
    `_with_centred_cells`."""
    decoder: DecoderSpec = QUARTER_OFFSET
    output: str | None = None
    """Name of the heatmaps; needed only where several outputs have their shape."""
    licence: str = "unknown"
    training_data: str = "unknown"

    def __post_init__(self) -> None:
        """Refuse what no graph could be built for."""
        for field, value, kind in (("color_order", self.color_order, ColorOrder), ("cells", self.cells, Cells)):
            if value not in get_args(kind):
                raise InputError(f"{field} is {value!r}, expected {' or '.join(get_args(kind))}")
        if self.decoder.flip_shift:
            raise InputError(
                f"decoder.flip_shift is {self.decoder.flip_shift}, expected 0: `cells` says where the cells lie, and "
                "the file that is written has them centred"
            )


def wrap_foreign(foreign: ForeignModel, folder: Path) -> Path:
    """Write the model to `folder` as an IR with a spec; gives the path of the .xml.

    The batch size is any where the graph allows it, else the file's own.

    Raises:
        InputError: the new file would overwrite the given one.
        ModelFileError: the file cannot be read, or does not turn crops of its size into heatmaps of 17 keypoints.
        ModelSpecError: a value is out of its range.
    """
    name = foreign.name or foreign.path.stem
    path = folder / f"{name}.xml"
    if path.resolve() == foreign.path.resolve():
        raise InputError(f"{path}: would overwrite the given file; choose another folder or name")
    graph = _read(foreign)
    precision = _precision(graph)
    stride = _keep_heatmaps(graph, foreign)
    if foreign.cells == "corner":
        graph = _with_centred_cells(graph, stride)
    deployed = _taking_pixels(_for_any_batch(graph, foreign), foreign)
    with written_whole(path, (".xml", ".bin")) as written:
        save_ir(deployed, replace(_spec(foreign, name, stride), precision=precision), written)
    return path


def _spec(foreign: ForeignModel, name: str, stride: int) -> ModelSpec:
    return ModelSpec(
        name=name,
        preset="foreign",
        input_size=foreign.input_size,
        mean=foreign.mean,
        std=foreign.std,
        box_padding=foreign.box_padding,
        stride=stride,
        decoder=foreign.decoder,
        licence=foreign.licence,
        training_data=foreign.training_data,
    )


def _read(foreign: ForeignModel) -> ov.Model:
    """The graph, which takes a float32 (N, 3, H, W) of the crop's size."""
    path = foreign.path
    if path.suffix.lower() not in SUFFIXES:
        raise ModelFileError(f"{path}: suffix {path.suffix!r}, expected {' or '.join(SUFFIXES)}")
    if not path.is_file():
        raise ModelFileError(f"{path}: no such file")
    try:
        graph = ov.Core().read_model(path)
    except RuntimeError as error:
        raise ModelFileError(
            f"{path}: OpenVINO cannot read it ({_last_line(error)}); an IR needs its whole .xml and .bin beside it"
        ) from error
    expected = ov.PartialShape([-1, 3, *foreign.input_size])
    shapes = [one.partial_shape for one in graph.inputs]
    if len(shapes) != 1 or not shapes[0].compatible(expected) or graph.input(0).element_type != ov.Type.f32:
        given = ", ".join(f"{one.element_type} {one.partial_shape}" for one in graph.inputs)
        raise ModelFileError(f"{path}: takes {given}, expected one float32 {expected}; or give its input_size")
    batch = shapes[0][0]
    graph.reshape({0: ov.PartialShape([batch, 3, *foreign.input_size])})
    return graph


def _precision(graph: ov.Model) -> Precision:
    """Of the weights, as the file stores them."""
    nodes = graph.get_ops()
    kinds = {node.get_element_type() for node in nodes if node.get_type_name() == "Constant"}
    if any(node.get_type_name() == "FakeQuantize" for node in nodes):
        return "int8"
    return "fp16" if ov.Type.f16 in kinds else "fp32"


def _keep_heatmaps(graph: ov.Model, foreign: ForeignModel) -> int:
    """Remove every output but the heatmaps; gives their stride."""
    strides = {index: _stride(one, foreign) for index, one in enumerate(graph.outputs)}
    found = [index for index, stride in strides.items() if stride]
    if foreign.output is not None:
        found = [index for index in found if foreign.output in graph.outputs[index].names]
    if len(found) != 1:
        height, width = foreign.input_size
        raise ModelFileError(
            f"{foreign.path}: {len(found)} outputs are heatmaps, expected one float32 (N, {len(COCO_KEYPOINTS)}, "
            f"{height} / stride, {width} / stride); it gives {_listed(graph)}; name one as output"
        )
    for index, result in enumerate(graph.get_results()):
        if index != found[0]:
            graph.remove_result(result)
    return strides[found[0]]


def _stride(output: Any, foreign: ForeignModel) -> int:
    """Input pixels to a cell of an output, 0 where it holds no heatmaps."""
    shape = output.partial_shape
    if shape.rank.is_dynamic or len(shape) != 4 or any(shape[axis].is_dynamic for axis in (1, 2, 3)):
        return 0
    keypoints, rows, columns = (shape[axis].get_length() for axis in (1, 2, 3))
    height, width = foreign.input_size
    stride: int = height // rows if rows else 0
    fits = keypoints == len(COCO_KEYPOINTS) and (rows * stride, columns * stride) == (height, width)
    return stride if fits else 0


def _listed(graph: ov.Model) -> str:
    return "; ".join(f"{'/'.join(sorted(one.names)) or 'unnamed'} {one.partial_shape}" for one in graph.outputs)


def _with_centred_cells(graph: ov.Model, stride: int) -> ov.Model:
    """The graph with its heatmaps moved to where ModelSpec has the cells.

    What lies at pixel p is in cell p / stride, and belongs into cell (p + 0.5) / stride - 0.5: up and left
    by a part of a cell, a bilinear interpolation. It makes the flip test exact too: what lies (stride - 1)
    pixels off its mirror image otherwise, or one with `decoder.flip_shift`, falls on it.
    """
    part = (stride - 1) / (2 * stride)
    taps = np.array((1 - part, part), np.float32)
    heatmaps = graph.output(0).get_node().input_value(0)
    kernel = np.tile(np.outer(taps, taps), (len(COCO_KEYPOINTS), 1, 1, 1, 1))
    moved = ops.group_convolution(heatmaps, kernel, [1, 1], [0, 0], [1, 1], [1, 1])
    return ov.Model([moved], graph.get_parameters(), graph.get_friendly_name())


def _for_any_batch(graph: ov.Model, foreign: ForeignModel) -> ov.Model:
    """The graph with a dynamic batch, or as it is where its answers would depend on the batch."""
    free = graph.clone()
    try:
        free.reshape({0: ov.PartialShape([-1, 3, *foreign.input_size])})
        if free.output(0).partial_shape[0].is_static:
            return graph
        run = ov.Core().compile_model(free, "CPU", {"INFERENCE_PRECISION_HINT": ov.Type.f32})
        crops = np.random.default_rng(0).normal(size=(2, 3, *foreign.input_size)).astype(np.float32)
        together = run(crops)[0]
        alone = np.concatenate([run(crop[None])[0] for crop in crops])
    except RuntimeError:  # some operation holds the batch size of the file
        return graph
    same = np.abs(together - alone).max() <= SAME * np.ptp(alone)
    return free if same else graph


def _taking_pixels(graph: ov.Model, foreign: ForeignModel) -> ov.Model:
    """The graph with uint8 (N, H, W, 3) BGR crops as input."""
    processor = PrePostProcessor(graph)
    pixels = processor.input()
    pixels.tensor().set_element_type(ov.Type.u8).set_layout(ov.Layout("NHWC")).set_color_format(ColorFormat.BGR)
    pixels.model().set_layout(ov.Layout("NCHW"))
    steps = pixels.preprocess()
    steps.convert_element_type(ov.Type.f32).mean(list(foreign.mean)).scale(list(foreign.std))
    if foreign.color_order == "RGB":
        steps.convert_color(ColorFormat.RGB)
    deployed = processor.build()
    deployed.input(0).get_tensor().set_names({INPUT})
    deployed.output(0).get_tensor().set_names({OUTPUT})
    return deployed


def _last_line(error: BaseException) -> str:
    """OpenVINO's messages begin with source positions."""
    return (str(error).strip().splitlines() or [type(error).__name__])[-1].strip()
