"""What `danet info` adds for a checkpoint. Imports without torch, so that other files need none."""

from __future__ import annotations

from pathlib import Path

SUFFIXES = (".safetensors", ".pt", ".pth", ".pkl")


def checkpoint_facts(path: Path) -> dict[str, str]:
    """Kind, network, parameters and GFLOPs of a checkpoint; nothing for files of other suffixes.

    Raises:
        ModelFileError, ModelSpecError: as `danet_network.checkpoint.load_checkpoint`.
    """
    if path.suffix.lower() not in SUFFIXES:
        return {}
    from danet_network.checkpoint import describe_checkpoint

    info = describe_checkpoint(path)
    return {
        "checkpoint": info.kind,
        "network": f"{info.config.name}, preset {info.config.preset}, layers {'-'.join(map(str, info.config.layers))}",
        "parameters": f"{info.parameters / 1e6:.2f} M",
        "GFLOPs": f"{info.gflops:.2f} (multiply-adds at {' x '.join(map(str, info.spec.input_size))})",
    }
