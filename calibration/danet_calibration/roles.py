"""What an operation does in DANet, told by its kind, kernel and place: the names of an ignored scope.

Node names change with each export; structure does not, so that the four networks, both presets and
both formats are told alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil

from danet_calibration.graph import Operation

_CONVOLUTIONS = ("convolution", "depthwise", "deconvolution")
_PLAIN = {
    "sigmoid": "sigmoid",
    "product": "mask product",
    "sum": "fusion sum",
    "mean": "mean",
    "scale": "norm",
    "shift": "norm",
}
ROLES = (
    "first convolution",
    "1x1",
    "3x3",
    "depthwise",
    "channel attention",
    "deconvolution",
    "last convolution",
    "sigmoid",
    "channel product",
    "mask product",
    "fusion sum",
    "mean",
    "norm",
)
"""All roles. The depthwise convolutions are the 9x9 of the masks and the fusions; the channel
attention's convolutions see single cells; the products are those of the two attentions and of the
fusions; a norm is a batch norm's multiply-add, or what is left of it."""


@dataclass(frozen=True)
class Placed:
    """An operation and what it does."""

    operation: Operation
    role: str
    group: str
    """The role at its scale: "1x1 @ 1/8" is 8 input pixels to a cell; a role without maps has no scale."""


def place(operations: Sequence[Operation], input_height: int) -> list[Placed]:
    """The operations that a quantizer could take, with their roles, in the order of `operations`.

    Args:
        operations: of the graph, in topological order.
        input_height: of a crop, pixels.
    """
    convolutions = [one.name for one in operations if one.kind in _CONVOLUTIONS]
    ends = {convolutions[0]: "first convolution", convolutions[-1]: "last convolution"} if convolutions else {}
    placed = []
    for operation in operations:
        role = ends.get(operation.name) or _role(operation)
        if role is not None:
            placed.append(Placed(operation, role, _group(role, operation, input_height)))
    return placed


def _role(operation: Operation) -> str | None:
    if operation.kind in ("depthwise", "deconvolution"):
        return operation.kind
    if operation.kind == "product" and operation.broadcast:
        return "channel product"
    if operation.kind != "convolution":
        return _PLAIN.get(operation.kind)
    if operation.size == (1, 1):
        return "channel attention"
    return "1x1" if operation.kernel == (1, 1) else "3x3"


def _group(role: str, operation: Operation, input_height: int) -> str:
    if role not in ("1x1", "3x3", "depthwise", "deconvolution") or operation.size is None:
        return role
    return f"{role} @ 1/{ceil(input_height / operation.size[0])}"
