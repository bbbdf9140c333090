"""What `danet info` adds for a checkpoint. Imports without torch, so that other files need none."""

from __future__ import annotations

from pathlib import Path

SUFFIXES = (".safetensors", ".pt", ".pth", ".pkl", ".ckpt", ".bin", ".pth.tar")
"""Of checkpoints; a `.bin` may be the weights of an OpenVINO IR as well."""


def checkpoint_suffix(path: Path) -> str:
    """What tells the kind of checkpoint: the suffix in small letters, both of `.pth.tar`."""
    name = path.name.lower()
    return next((suffix for suffix in SUFFIXES if suffix.count(".") > 1 and name.endswith(suffix)), path.suffix.lower())


def checkpoint_facts(path: Path) -> dict[str, str]:
    """Kind, network, parameters and GFLOPs of a checkpoint; nothing for files of other suffixes.

    Raises:
        ModelFileError, ModelSpecError: as `danet_network.checkpoint.load_checkpoint`.
    """
    if checkpoint_suffix(path) not in SUFFIXES:
        return {}
    from danet_network.checkpoint import describe_checkpoint

    info = describe_checkpoint(path)
    return {
        "checkpoint": info.kind,
        "network": f"{info.config.name}, preset {info.config.preset}, layers {'-'.join(map(str, info.config.layers))}",
        "parameters": f"{info.parameters / 1e6:.2f} M",
        "GFLOPs": f"{info.gflops:.2f} (multiply-adds at {' x '.join(map(str, info.spec.input_size))})",
    }
