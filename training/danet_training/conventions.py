"""What weights are trained to take and to give, whoever crops and decodes."""

from __future__ import annotations

from pathlib import Path

from danet.errors import ModelFileError
from danet.model_spec import ModelSpec

_OF_CROPS = ("color_order", "mean", "std", "keypoints")
_OF_HEATMAPS = ("heatmap_peak", "flip_shift")


def refuse_other_conventions(checkpoint: Path, spec: ModelSpec, run: ModelSpec) -> None:
    """Refuse to go on from weights in a run that would train them otherwise, unseen.

    Args:
        checkpoint: where the weights are from.
        spec: its spec.
        run: the spec that the run trains for.

    Raises:
        ModelFileError: other pixels, keypoints, peaks or places of the heatmaps' cells.
    """
    pairs = [(name, getattr(spec, name), getattr(run, name)) for name in _OF_CROPS]
    pairs += [(name, getattr(spec.decoder, name), getattr(run.decoder, name)) for name in _OF_HEATMAPS]
    if unlike := [(name, its, expected) for name, its, expected in pairs if its != expected]:
        held = ", ".join(f"{name} {its}" for name, its, _ in unlike)
        trained = ", ".join(f"{name} {expected}" for name, _, expected in unlike)
        raise ModelFileError(
            f"{checkpoint}: its spec has {held}, this run trains with {trained}; to have the weights learn that "
            "anew, save them with such a spec (danet_network.checkpoint.save_checkpoint)"
        )
