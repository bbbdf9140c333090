"""A rival as a model file, by the way that DANet's files go."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from danet.model_spec import ModelSpec
from danet_benchmarks.rivals.registry import build_rival
from danet_converters.export import Exported, Target, export_network
from danet_converters.parity import TOLERANCES
from danet_converters.simplify import simplify
from danet_network.model import DANet

TIES = 0.02
"""Share of the keypoints that may move. The maps of random weights are flat: a rounding of 2e-6 of their range
decided anew between two cells of SimpleBaseline-R50 on a CPU without AVX-512. Heatmaps are held to the usual bound."""


def rival_spec(name: str) -> ModelSpec:
    """What a rival's file says of itself; crop and decoder are DANet's, so that only networks are compared."""
    return ModelSpec(
        name=name,
        preset="rival",
        licence="Apache-2.0; random weights, for timing only",
        training_data="none: random weights, for timing only",
    )


def export_rival(name: str, target: Target, folder: Path) -> Exported:
    """Write a rival to `folder` in one of `danet_converters.export.TARGETS`, if it passes the parity check.

    A DANet is simplified as every DANet is; other graphs are written as they are: both runtimes fold a BN
    into the convolution before it by themselves.

    Raises:
        InputError: no rival of that name.
        ParityError: the file differs from the network in torch; nothing is written.
    """
    network = build_rival(name)
    deployed = simplify(network, target.rewrites) if isinstance(network, DANet) else network
    allowed = TOLERANCES[target.precision]
    allowed = replace(allowed, moved=max(TIES, allowed.moved))
    return export_network(network, deployed, rival_spec(name), target, folder, allowed=allowed)
