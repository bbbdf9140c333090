"""The shape of a DANet: one frozen dataclass, and the named members of the family."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Literal, get_args

from danet.errors import ModelFileError
from danet.typed_values import shown

Preset = Literal["paper", "zoo"]
ChannelAttentionPlacement = Literal["input", "bottleneck", "output", "none"]
SpatialAttention = Literal["suppress", "gate", "amplify", "xunit", "none"]
Fusion = Literal["sfu", "sum"]
MAX_LAYERS = 128
"""To a stage; the deepest of the paper has 16. A network of thousands takes minutes to lay out, even without memory."""


@dataclass(frozen=True)
class DANetConfig:
    """Every choice that changes the network's graph or its tensors.

    The family members differ in `layers` and `transitions` (Table I of the paper); the switches
    from `growth` on are those of its ablations (Tables IV to VII).
    """

    name: str
    preset: Preset
    layers: tuple[int, int, int, int]
    """Orthogonal layers in the four stages, finest first."""
    transitions: tuple[int, int, int, int]
    """Channels of the four pyramid features, finest first."""
    decoder_width: int
    """Channels D of the bottom-up path."""
    growth: int = 32
    """Channels that an orthogonal layer appends."""
    bottleneck: int = 32
    """Channels between the two convolutions of an orthogonal layer."""
    channel_attention: ChannelAttentionPlacement = "input"
    """What the channel attention scales: the body's input (the paper's choice, Table V), the
    features between its two convolutions, or its output."""
    spatial_attention: SpatialAttention = "suppress"
    """What the mask m does to the body's output y: y*(1-m) (the paper's choice), y*m, y*(1+m), an
    xUnit activation instead of a mask, or nothing (Table VI)."""
    fusion: Fusion = "sfu"
    """How a lateral and an upsampled feature meet: second-order fusion or a plain sum (Table VII)."""
    keypoints: int = 17

    def __post_init__(self) -> None:
        """Refuse values that would build another network than the one asked for.

        Raises:
            ModelFileError: a value is out of its range.
        """
        choices = {
            "preset": get_args(Preset),
            "channel_attention": get_args(ChannelAttentionPlacement),
            "spatial_attention": get_args(SpatialAttention),
            "fusion": get_args(Fusion),
        }
        for field, allowed in choices.items():
            value = getattr(self, field)
            if value not in allowed:
                raise ModelFileError(f"network config: {field} is {shown(value)}, expected one of {', '.join(allowed)}")
        if not all(isinstance(numbers, tuple) and len(numbers) == 4 for numbers in (self.layers, self.transitions)):
            raise ModelFileError("network config: layers and transitions are tuples of four numbers, one to a stage")
        counts = (*self.layers, *self.transitions, self.decoder_width, self.growth, self.bottleneck, self.keypoints)
        if not all(isinstance(count, int) and 1 <= count <= 4096 for count in counts):
            got = ", ".join(map(shown, counts))
            raise ModelFileError(f"network config: channel and layer counts lie in 1..4096, got {got}")
        if max(self.layers) > MAX_LAYERS:
            raise ModelFileError(f"network config: layers {self.layers}, expected at most {MAX_LAYERS} to a stage")

    @property
    def depth(self) -> int:
        """The number in the name "DANet-72", as the paper counts layers.

        Convolutions on the longest way down the pyramid: two of the stem, two in each orthogonal
        layer (1x1 and 3x3; the attention branches run beside them), and one in each transition.
        """
        return 2 + 2 * sum(self.layers) + 4

    def to_dict(self) -> dict[str, Any]:
        """The fields as plain JSON types."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> DANetConfig:
        """The inverse of `to_dict`.

        Raises:
            ModelFileError: unknown or missing fields, or values out of range.
        """
        known = {field.name for field in fields(cls)}
        if unknown := sorted(set(values) - known):
            raise ModelFileError(
                f"network config: unknown fields {', '.join(unknown)[:200]}; this version knows "
                f"{', '.join(sorted(known))}"
            )
        tupled: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value for key, value in values.items()
        }
        try:
            return cls(**tupled)
        except TypeError as error:
            raise ModelFileError(f"network config: {error}") from error


_FAMILY: dict[str, tuple[tuple[int, int, int, int], tuple[int, int, int, int]]] = {
    "danet72": ((3, 6, 12, 12), (96, 192, 384, 512)),
    "danet88": ((4, 5, 18, 14), (128, 192, 512, 640)),
    "danet98": ((4, 12, 16, 14), (128, 256, 512, 640)),
    "danet102": ((6, 12, 16, 14), (128, 256, 512, 640)),
}
FAMILY = tuple(_FAMILY)
"""Names of the family's members, smallest first."""


def danet_config(name: str, preset: Preset = "paper", **switches: Any) -> DANetConfig:
    """The config of a family member ("danet72", "danet88", "danet98", "danet102").

    `switches` override single fields, as the ablations need. Decoder widths of preset `paper` are
    those that fit the paper's tables (its text leaves them open); the zoo's code has 128.

    Raises:
        ModelFileError: no member of that name, or a switch out of its range.
    """
    if name not in _FAMILY:
        raise ModelFileError(f"no network named {name!r}; there are {', '.join(_FAMILY)}")
    layers, transitions = _FAMILY[name]
    width = 128 if preset == "zoo" else 80 if name == "danet72" else 96
    config = DANetConfig(name=name, preset=preset, layers=layers, transitions=transitions, decoder_width=width)
    return replace(config, **switches)
