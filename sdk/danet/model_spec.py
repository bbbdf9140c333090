"""ModelSpec: what a model file says about itself, so that nobody has to guess how to feed it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, replace
from math import isfinite
from numbers import Real
from typing import Any, Literal, Self, get_args

from danet.errors import InputError, ModelSpecError
from danet.keypoints import COCO_FLIP_PAIRS, COCO_KEYPOINTS, COCO_SKELETON, partner_of
from danet.typed_values import TypedReader, shown, unique_keys

SPEC_KEY = "danet.model_spec"
"""Key of the spec's JSON in ONNX metadata, OpenVINO rt_info and safetensors metadata."""
FORMAT_VERSION = 2
"""Newest format. 1: the first; 2: `decoder.refinement`. A spec is written in the oldest that can say it."""
MAX_SPEC_BYTES = 1 << 20
"""A spec is a few kilobytes; more than this is refused unread."""
MAX_NAME = 100
MAX_PAIRS = 2048
"""Of the skeleton, all of which are drawn for each person, and of the keypoints that flip."""

IMAGENET_MEAN_BGR = (103.53, 116.28, 123.675)
IMAGENET_STD_BGR = (57.375, 57.12, 58.395)
"""The public ImageNet statistics in BGR and 0..255, as the zoo states them."""

Precision = Literal["fp32", "fp16", "bf16", "int8"]
Refinement = Literal["offset", "dark"]
PAPER_OFFSETS = (0.25,)

_Check = tuple[bool, str, object, str]
"""Whether it holds, the field, its value, what was expected."""


@dataclass(frozen=True)
class DecoderSpec:
    """How heatmaps become keypoints.

    The map is blurred by a Gaussian of `blur_kernel` cells (sigma as OpenCV derives it from the
    kernel), zero outside the map. The location begins at the cell of the highest response and is
    refined within it:

    - "offset": moved by `offsets[i]` cells toward the (i+2)-nd highest response: (0.25,) is the
      paper's section III-D, (0.35, 0.15, 0.05) the zoo's test.
    - "dark": moved to the top of the Gaussian through the cell and its neighbours (Zhang et al.,
      "Distribution-Aware Coordinate Representation for Human Pose Estimation", CVPR 2020);
      `offsets` is empty then.
    """

    blur_kernel: int = 17
    offsets: tuple[float, ...] = PAPER_OFFSETS
    heatmap_peak: float = 1.0
    """Response of a perfect keypoint; scores are responses divided by it."""
    flip_shift: int = 0
    """Where cells lie, for locations and for the flip test. 0: the centre of cell i is at input pixel
    (i + 0.5) * stride - 0.5. 1: cell i is at i * stride, and the mirrored heatmap is moved right by a cell before
    averaging, as SimpleBaseline and HRNet do."""
    refinement: Refinement = "offset"

    def refined(self, refinement: Refinement) -> DecoderSpec:
        """The same with another refinement; "offset" takes the paper's offset if there is none yet."""
        if refinement == self.refinement:
            return self
        return replace(self, refinement=refinement, offsets=() if refinement == "dark" else PAPER_OFFSETS)


@dataclass(frozen=True)
class Metric:
    """One measured figure, with what it was measured on and how."""

    name: str
    value: float
    data: str
    method: str


def _sides_are_cocos(keypoints: tuple[str, ...]) -> bool:
    """Whether the names that tell a side pair as COCO's do; the fields' defaults are meant for no others."""
    places = {name: index for index, name in enumerate(keypoints)}
    named = {
        frozenset((index, places[other])) for name, index in places.items() if (other := partner_of(name)) in places
    }
    return not named or named == set(map(frozenset, COCO_FLIP_PAIRS))


def _one_partner_each(pairs: tuple[tuple[int, int], ...]) -> bool:
    partner: dict[int, int] = {}
    return all(partner.setdefault(one, other) == other for pair in pairs for one, other in (pair, pair[::-1]))


def _decoder_checks(decoder: DecoderSpec) -> tuple[_Check, ...]:
    return (
        (
            decoder.blur_kernel in range(1, 64, 2),
            "decoder.blur_kernel",
            decoder.blur_kernel,
            "odd, 1..63",
        ),
        (len(decoder.offsets) <= 8, "decoder.offsets", decoder.offsets, "8 at most"),
        (
            all(-8 <= offset <= 8 for offset in decoder.offsets),
            "decoder.offsets",
            decoder.offsets,
            "numbers in -8..8",
        ),
        (decoder.flip_shift in (0, 1), "decoder.flip_shift", decoder.flip_shift, "0 or 1"),
        (
            1e-6 <= decoder.heatmap_peak <= 1e6,
            "decoder.heatmap_peak",
            decoder.heatmap_peak,
            "1e-6..1e6",
        ),
        (
            decoder.refinement in get_args(Refinement),
            "decoder.refinement",
            decoder.refinement,
            "/".join(get_args(Refinement)),
        ),
        (
            decoder.refinement == "offset" or not decoder.offsets,
            "decoder.offsets",
            decoder.offsets,
            f"() with refinement {decoder.refinement!r}",
        ),
    )


PADDINGS = "0.1..10"
"""That `ModelSpec.box_padding` may have."""


def _is_padding(value: float) -> bool:
    return 0.1 <= value <= 10  # NaN is not


def checked_padding(value: Any) -> float:
    """A box padding as a float.

    Raises:
        InputError: no number, or one that no ModelSpec may have.
    """
    if not isinstance(value, Real) or not _is_padding(float(value)):
        raise InputError(f"box_padding {value!r:.80}, expected a number in {PADDINGS}")
    return float(value)


@dataclass(frozen=True)
class ModelSpec:
    """Everything that a runtime must know to feed a model file and to read its output.

    Written into each file by the converters and read back at load.
    """

    name: str
    preset: str = "paper"
    input_size: tuple[int, int] = (256, 192)
    """Crop height and width in pixels."""
    color_order: Literal["BGR"] = "BGR"
    mean: tuple[float, float, float] = IMAGENET_MEAN_BGR
    std: tuple[float, float, float] = IMAGENET_STD_BGR
    """Normalisation (pixel - mean) / std in `color_order`, 0..255; it is done inside exported graphs."""
    box_padding: float = 1.25
    """Factor on a person box's width and height before it is extended to the crop's aspect."""
    stride: int = 4
    """Input pixels to a heatmap cell; which pixel a cell is centred on: `DecoderSpec.flip_shift`."""
    decoder: DecoderSpec = DecoderSpec()
    keypoints: tuple[str, ...] = COCO_KEYPOINTS
    flip_pairs: tuple[tuple[int, int], ...] = COCO_FLIP_PAIRS
    skeleton: tuple[tuple[int, int], ...] = COCO_SKELETON
    precision: Precision = "fp32"
    calibration: str | None = None
    """For quantized files: data, method and measured drop."""
    metrics: tuple[Metric, ...] = ()
    source_sha256: str | None = None
    """Of the checkpoint file that the model was exported from."""
    licence: str = "unknown"
    training_data: str = "unknown"
    format_version: int = field(init=False, default=FORMAT_VERSION)
    """Oldest format that can say this spec, so that a danet that knows no newer one still reads it."""

    def __post_init__(self) -> None:
        """Refuse a spec that no crop or decoder could follow.

        Raises:
            ModelSpecError: the first field that is of another type or out of its range.
        """
        TypedReader(ModelSpecError).fit(ModelSpec, self, "model spec")
        object.__setattr__(self, "format_version", 1 if self.decoder.refinement == "offset" else FORMAT_VERSION)
        height, width = self.input_size
        count = len(self.keypoints)
        indices = [index for pair in (*self.flip_pairs, *self.skeleton) for index in pair]
        checks: tuple[_Check, ...] = (
            (self.color_order == "BGR", "color_order", self.color_order, "'BGR'"),
            (1 <= self.stride <= 64, "stride", self.stride, "1..64"),
            (all(16 <= side <= 4096 for side in (height, width)), "input_size", self.input_size, "sides of 16..4096"),
            (
                self.stride > 0 and not height % self.stride and not width % self.stride,
                "input_size",
                self.input_size,
                "multiples of stride",
            ),
            (all(0 <= value <= 255 for value in self.mean), "mean", self.mean, "numbers in 0..255"),
            (all(isfinite(value) and value > 0 for value in self.std), "std", self.std, "numbers above 0"),
            (_is_padding(self.box_padding), "box_padding", self.box_padding, PADDINGS),
            (1 <= count <= 1024, "keypoints", count, "1..1024 names"),
            (
                is_file_name(self.name),
                "name",
                self.name,
                f"1..{MAX_NAME} printable characters, no / \\ : or leading .",
            ),
            (
                len(indices) <= 4 * MAX_PAIRS,
                "flip_pairs, skeleton",
                len(indices) // 2,
                f"{2 * MAX_PAIRS} pairs at most",
            ),
            (all(0 <= index < count for index in indices), "flip_pairs, skeleton", indices, f"indices below {count}"),
            (
                _one_partner_each(self.flip_pairs),
                "flip_pairs",
                self.flip_pairs,
                "no keypoint in two different pairs",
            ),
            (len({*self.keypoints}) == count, "keypoints", self.keypoints, "names that differ"),
            (
                self.flip_pairs != COCO_FLIP_PAIRS or _sides_are_cocos(self.keypoints),
                "flip_pairs",
                "those of COCO",
                f"those of the keypoints {self.keypoints} (danet.keypoints.left_right_pairs), and their skeleton",
            ),
            (self.precision in get_args(Precision), "precision", self.precision, "/".join(get_args(Precision))),
            *_decoder_checks(self.decoder),
            (all(isfinite(metric.value) for metric in self.metrics), "metrics", self.metrics, "finite values"),
        )
        for valid, name, value, expected in checks:
            if not valid:
                raise ModelSpecError(f"model spec: {name} is {repr(value)[:200]}, expected {expected}")

    @property
    def heatmap_size(self) -> tuple[int, int]:
        """Height and width of a heatmap in cells."""
        return self.input_size[0] // self.stride, self.input_size[1] // self.stride

    @property
    def flip_order(self) -> list[int]:
        """For each keypoint the index of the one that a mirrored picture shows in its place."""
        order = list(range(len(self.keypoints)))
        for left, right in self.flip_pairs:
            order[left], order[right] = right, left
        return order

    def decoded_by(self, refinement: Refinement | None) -> Self:
        """The same with another refinement in its decoder; None leaves it."""
        return self if refinement is None else replace(self, decoder=self.decoder.refined(refinement))

    def padded_by(self, box_padding: float | None) -> Self:
        """The same with another `box_padding`; None leaves it.

        Raises:
            ModelSpecError: a padding that no crop could have.
        """
        return self if box_padding is None else replace(self, box_padding=box_padding)

    def to_json(self) -> str:
        """The spec as compact JSON, of the format `format_version`."""
        values = asdict(self)
        if self.format_version < 2:
            del values["decoder"]["refinement"]
        return json.dumps(values, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> Self:
        """The inverse of `to_json`; reads every format up to `FORMAT_VERSION`.

        Raises:
            ModelSpecError: no JSON object, too large, of a newer format, or with unknown, missing or
                wrongly typed fields.
        """
        if len(text) > MAX_SPEC_BYTES or len(text.encode("utf-8", "surrogatepass")) > MAX_SPEC_BYTES:
            raise ModelSpecError(f"model spec: more than {MAX_SPEC_BYTES} bytes; export the file again")
        try:
            values = json.loads(text, object_pairs_hook=unique_keys)
        except (ValueError, RecursionError) as error:
            raise ModelSpecError(f"model spec: not JSON ({error}); export the file again") from error
        if not isinstance(values, dict):
            raise ModelSpecError(f"model spec: a JSON {type(values).__name__}, expected an object")
        _check_version(values.pop("format_version", FORMAT_VERSION), values)
        return TypedReader(ModelSpecError).read(cls, values, "model spec")


def is_file_name(name: str) -> bool:
    """Whether a file can be called so, and lies where it should: exported files are named by their spec."""
    return 1 <= len(name) <= MAX_NAME and name.isprintable() and not name.startswith(".") and not {*"/\\:"} & {*name}


def _check_version(version: object, values: dict[str, Any]) -> None:
    """Refuse a format that this danet does not know, and fields that the format did not have."""
    if type(version) is not int or version < 1:
        raise ModelSpecError(f"model spec: format_version is {shown(version)}, expected 1..{FORMAT_VERSION}")
    if version > FORMAT_VERSION:
        raise ModelSpecError(
            f"model spec: format {version}, this danet reads up to {FORMAT_VERSION}; update danet-edge"
        )
    decoder = values.get("decoder")
    if version < 2 and isinstance(decoder, dict) and "refinement" in decoder:
        raise ModelSpecError("model spec: decoder: refinement in format 1, expected in format 2; export the file again")
