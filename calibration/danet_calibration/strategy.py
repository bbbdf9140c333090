"""How a network is quantized: one frozen set of choices, and its words."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, get_args

from danet.errors import InputError

Preset = Literal["performance", "mixed"]
BiasCorrection = Literal["fast", "accurate", "none"]
WeightBits = Literal["8", "7", "7 in the first layer"]
ActivationRange = Literal["mean", "largest"]

STRIDES = (4, 8, 16, 32)
"""Pixels to a cell of the four stages."""
DEFAULT_FLOAT_ROLES: tuple[str, ...] = ("sigmoid", "mean", "channel product", "mask product", "fusion sum", "norm")
"""The ignored scope made for DANet, by the roles of `danet_calibration.roles`; measured in docs/quantization.md."""


@dataclass(frozen=True)
class Strategy:
    """One way to quantize.

    Weights are symmetric and per output channel in all of them.
    """

    preset: Preset = "performance"
    """Activations: "performance" symmetric, "mixed" with a zero point of their own."""
    bias_correction: BiasCorrection = "fast"
    """Shifts the biases by the mean error of each layer: measured on single layers ("fast") or through
    the network quantized so far ("accurate")."""
    smooth_quant: float | None = None
    """Alpha of SmoothQuant for convolutions, in [0, 1]; None: off."""
    weight_bits: WeightBits = "7"
    """Seven keep the sum of two u8 x s8 products within 16 bits on CPUs without VNNI, which would clip it."""
    activation_range: ActivationRange = "mean"
    """Activations are rounded within the mean over the crops of each crop's largest value, or within the largest of
    all. A single odd crop can be eighty times beyond the others."""
    float_roles: tuple[str, ...] = DEFAULT_FLOAT_ROLES
    """Roles of operations that stay in float."""
    float_groups: tuple[str, ...] = ()
    """Further groups, a role at a scale ("1x1 @ 1/8"), that stay in float."""
    byte_features: bool = True
    """Whether the maps that a stage concatenates are stored as bytes, as far as the format can (OpenVINO)."""
    coarse_masks: tuple[int, ...] = (4, 8)
    """Pixels to a cell of the stages whose masks are computed once for 2x2 cells, if the format can (OpenVINO)."""
    accuracy_control: bool = False
    """Whether NNCF returns operations to float one by one until the accuracy is kept."""

    def __post_init__(self) -> None:
        """Refuse values that no quantizer could follow.

        Raises:
            InputError: the first field that is out of its range.
        """
        for name, value, allowed in (
            ("preset", self.preset, get_args(Preset)),
            ("bias_correction", self.bias_correction, get_args(BiasCorrection)),
            ("weight_bits", self.weight_bits, get_args(WeightBits)),
            ("activation_range", self.activation_range, get_args(ActivationRange)),
        ):
            if value not in allowed:
                raise InputError(f"strategy: {name} is {value!r}, expected one of {', '.join(allowed)}")
        if not set(self.coarse_masks) <= set(STRIDES):
            raise InputError(
                f"strategy: coarse_masks is {self.coarse_masks}, expected some of {', '.join(map(str, STRIDES))}"
            )
        if self.accuracy_control and (self.byte_features or self.coarse_masks):
            raise InputError(
                "strategy: accuracy_control goes with byte_features=False and coarse_masks=(): NNCF measures the graph "
                "without them"
            )
        if self.smooth_quant is not None and not 0 <= self.smooth_quant <= 1:
            raise InputError(f"strategy: smooth_quant is {self.smooth_quant}, expected 0..1, or None for off")

    def describe(self) -> str:
        """The choices in words, for a ModelSpec and for people."""
        parts = [
            f"preset {self.preset}",
            f"{self.bias_correction} bias correction",
            "no SmoothQuant" if self.smooth_quant is None else f"SmoothQuant {self.smooth_quant:g}",
            f"weights of {self.weight_bits} bits",
            f"ranges to the {self.activation_range} of the crops' largest values",
            f"in float: {', '.join((*self.float_roles, *self.float_groups)) or 'nothing'}",
        ]
        if self.byte_features:
            parts.append("concatenated features as bytes")
        if self.coarse_masks:
            scales = " and ".join(f"1/{stride}" for stride in self.coarse_masks)
            parts.append(f"masks at {scales} once for 2x2 cells")
        return "; ".join([*parts, "accuracy-aware"] if self.accuracy_control else parts)

    def scope_alone(self) -> Strategy:
        """The same without what the graph is changed by beside the quantizers: its scope's effect by itself."""
        return replace(self, byte_features=False, coarse_masks=())

    def widened(self, groups: tuple[str, ...]) -> Strategy:
        """The same with further groups in float."""
        return replace(self, float_groups=tuple(dict.fromkeys((*self.float_groups, *groups))))

    def to_dict(self) -> dict[str, Any]:
        """The fields as plain JSON types."""
        return asdict(self)
