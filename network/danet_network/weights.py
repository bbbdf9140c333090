"""From named tensors to a network: which DANet they belong to, whether they fit, and loading them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import TypeGuard, get_args

import torch
from torch import Tensor, nn

from danet.errors import ModelFileError
from danet_network.config import FAMILY, DANetConfig, Preset, danet_config
from danet_network.model import DANet

Shape = tuple[int, ...]

COUNTER = ".num_batches_tracked"
"""End of the names of BN's batch counters: integers that inference does not use and files may lack."""
LISTED = 8
"""Tensors of each kind that an error names."""
_TENSORS_OF_A_LAYER = 10
"""Least number of tensors in an orthogonal layer, counters aside: two BN and two convolutions."""
KNOWN = tuple(danet_config(name, preset) for preset in get_args(Preset) for name in FAMILY)
"""What a file without a config may be."""
_DTYPES = (torch.float32, torch.float16, torch.bfloat16, torch.float64)


@dataclass(frozen=True)
class Mismatch:
    """How the tensors of a file differ from those of a network."""

    missing: tuple[str, ...]
    extra: tuple[str, ...]
    misshapen: tuple[str, ...]
    """Each with the shape found and the shape expected."""

    @property
    def total(self) -> int:
        """Tensors that do not fit."""
        return len(self.missing) + len(self.extra) + len(self.misshapen)

    def __str__(self) -> str:
        kinds = {"missing": self.missing, "unexpected": self.extra, "of another shape": self.misshapen}
        return "; ".join(f"{len(names)} {kind}: {listed(names)}" for kind, names in kinds.items() if names)


def listed(names: Iterable[str]) -> str:
    """The first names of a list, each cut to a length that a line can bear, and how many more there are."""
    names = tuple(names)
    shown = ", ".join(printable(name) for name in names[:LISTED])
    return f"{shown} and {len(names) - LISTED} more" if len(names) > LISTED else shown


def printable(text: str) -> str:
    """Text from a file, fit for a one-line message: cut short, no line ends, no stray surrogates."""
    short = text if len(text) <= 160 else text[:157] + "..."
    return short if short.isprintable() else ascii(short)


def compare(found: Mapping[str, Shape], expected: Mapping[str, Shape]) -> Mismatch:
    """The mismatch between two sets of tensor shapes; batch counters may be absent."""
    return Mismatch(
        missing=tuple(name for name in expected if name not in found and not name.endswith(COUNTER)),
        extra=tuple(name for name in found if name not in expected),
        misshapen=tuple(
            f"{name} (found {found[name]}, expected {shape})"
            for name, shape in expected.items()
            if found.get(name, shape) != shape
        ),
    )


def recognise(candidates: Mapping[DANetConfig, Mismatch], tensors: int) -> DANetConfig:
    """The candidate that `tensors` named tensors fit best.

    Raises:
        ModelFileError: they fit none of the candidates by half.
    """
    config = min(candidates, key=lambda candidate: candidates[candidate].total)
    mismatch = candidates[config]
    fitting = tensors - len(mismatch.extra) - len(mismatch.misshapen)
    if fitting < len(expected_shapes(config)) // 2:
        raise ModelFileError(
            f"holds no DANet: of its {tensors} tensors {fitting} fit {config.name} ({config.preset}), the nearest; "
            f"unexpected: {listed(mismatch.extra)}; give a checkpoint of this project or of the MegEngine model zoo"
        )
    return config


def meta_network(config: DANetConfig) -> DANet:
    """The network without memory: names and shapes only."""
    with torch.device("meta"):
        return DANet(config)


def expected_shapes(config: DANetConfig) -> Mapping[str, Shape]:
    """Name and shape of each tensor of a network, batch counters included."""
    return _known_shapes(config) if config in KNOWN else _other_shapes(config)


def _shapes(config: DANetConfig) -> Mapping[str, Shape]:
    return {name: tuple(tensor.shape) for name, tensor in meta_network(config).state_dict().items()}


# apart: each file without a config is compared with all of KNOWN, whose shapes take seconds to find again
_known_shapes = cache(_shapes)
_other_shapes = lru_cache(maxsize=32)(_shapes)


def build(tensors: Mapping[str, Tensor], config: DANetConfig) -> DANet:
    """The network with these tensors, float32, on the CPU, in eval mode; it shares no memory with them.

    Raises:
        ModelFileError: tensors are missing, unexpected, of another shape or kind, or not finite.
    """
    refuse_unfit(tensors, config)
    plain = {name: _plain(name, tensor) for name, tensor in tensors.items()}
    _refuse_useless(plain)
    network = meta_network(config)
    zero = torch.zeros((), dtype=torch.int64)
    counters = {name: zero.clone() for name in expected_shapes(config) if name.endswith(COUNTER)}
    network.load_state_dict(counters | plain, assign=True)
    return network.eval()


def refuse_unfit(tensors: Mapping[str, Tensor], config: DANetConfig) -> None:
    """Refuse tensors that are not those of a network, by name, shape and kind; what they hold is not looked at.

    Raises:
        ModelFileError: tensors are missing, unexpected, of another shape or kind.
    """
    if sum(config.layers) * _TENSORS_OF_A_LAYER > len(tensors):
        # before anything is built: a few bytes of config can ask for a network of any size
        raise ModelFileError(
            f"{len(tensors)} tensors, too few for the {sum(config.layers)} layers that the config asks for"
        )
    refuse_foreign(tensors)
    mismatch = compare({name: tuple(tensor.shape) for name, tensor in tensors.items()}, expected_shapes(config))
    if mismatch.total:
        raise ModelFileError(f"does not fit {printable(config.name)} ({config.preset}): {mismatch}")


def refuse_foreign(tensors: Mapping[str, object]) -> None:
    """Refuse what is no dense array of numbers, before its shape or its data is touched.

    Raises:
        ModelFileError: the first such entry.
    """
    for name, tensor in tensors.items():
        # counters too are floating-point where all of a state dict was made half
        dtypes = (torch.int64, torch.int32, *_DTYPES) if name.endswith(COUNTER) else _DTYPES
        if not (_is_dense(tensor) and tensor.dtype in dtypes):
            kind = f"{tensor.dtype} tensor" if isinstance(tensor, Tensor) else type(tensor).__name__
            expected = " or ".join(str(dtype) for dtype in dtypes)
            raise ModelFileError(f"{printable(name)} is a {kind}, expected a dense CPU tensor of {expected}")


def _is_dense(value: object) -> TypeGuard[Tensor]:
    if not isinstance(value, Tensor) or type(value) not in (Tensor, nn.Parameter):
        return False
    plain = value.layout is torch.strided and not value.is_nested and not value.is_quantized
    return plain and value.device.type == "cpu"


def _plain(name: str, tensor: Tensor) -> Tensor:
    dtype = torch.int64 if name.endswith(COUNTER) else torch.float32
    return tensor.detach().to(dtype, copy=True, memory_format=torch.contiguous_format)


def _refuse_useless(tensors: Mapping[str, Tensor]) -> None:
    infinite = [name for name, tensor in tensors.items() if not torch.isfinite(tensor).all()]
    if infinite:
        raise ModelFileError(
            f"{len(infinite)} tensors hold NaN or infinity: {listed(infinite)}; take an earlier checkpoint"
        )
    negative = [name for name, tensor in tensors.items() if name.endswith(".running_var") and tensor.min() < 0]
    if negative:
        raise ModelFileError(f"{len(negative)} variances are negative: {listed(negative)}; the file is damaged")
