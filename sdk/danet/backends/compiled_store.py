"""Compiled graphs of OpenVINO in the user's cache folder: a program's second start need not compile.

OpenVINO's own cache (CACHE_DIR) takes a file in which a bit has flipped and answers with the wrong weights, writes
in place, and grows for ever (openvino 2026.4.1, docs/performance.md). Here a file begins with the SHA-256 of the
rest, comes to its place whole, and the oldest go when there are too many. It can only make a start faster: whatever
is wrong with one, the graph is compiled.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import openvino as ov

from danet.bounded_file import read_at_most
from danet.cache_folder import cache_folder
from danet.cpu import read_cpu
from danet.errors import DanetError
from danet.files import write_beside
from danet.model_files import files_state, model_sha256

FORMAT = "2"
SUFFIX = ".compiled"
MOST_BYTES = 256 << 20
"""Of all files together, about thirty graphs; beyond it those that were not used for longest are removed."""
_LIMITS = ("ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA")
"""Environment variables that keep OpenVINO from instructions that the CPU has."""
_SEAL = hashlib.sha256().digest_size


class CompiledStore:
    """The compiled graphs of one model file.

    Args:
        folder: where they lie; made when the first is saved.
        name: of the model, for people who look into the folder.
        content: what the file holds, as a hash.
    """

    def __init__(self, folder: Path, name: str, content: str) -> None:
        self._folder = folder
        self._name = name
        self._content = content

    def load(self, core: Any, shape: tuple[int, ...], device: str, config: Mapping[str, Any]) -> Any | None:
        """The compiled graph for crops of a shape, or None where none is kept that can be used.

        Args:
            core: the process's `openvino.Core`.
            shape: (N, H, W, 3) of the crops.
            device: as for `compile_model`.
            config: as for `compile_model`.
        """
        place = self._place(shape, device, config)
        try:
            content = read_at_most(place, MOST_BYTES)
            if len(content) > MOST_BYTES or hashlib.sha256(memoryview(content)[_SEAL:]).digest() != content[:_SEAL]:
                return None
            compiled = core.import_model(io.BytesIO(content[_SEAL:]), device, dict(config))
        except (OSError, RuntimeError):  # none there, or not this OpenVINO's
            return None
        with contextlib.suppress(OSError):
            place.touch()  # used now: not the next to be removed
        return compiled

    def save(self, compiled: Any, shape: tuple[int, ...], device: str, config: Mapping[str, Any]) -> None:
        """Keep a compiled graph for `load` with the same arguments; where that cannot be done, do nothing."""
        try:
            exported = compiled.export_model()
            content = exported if isinstance(exported, bytes) else exported.getvalue()  # bytes in OpenVINO 2025
            with write_beside(self._place(shape, device, config)) as temporary:
                temporary.write_bytes(hashlib.sha256(content).digest() + content)
            self._remove_oldest()
        except (OSError, RuntimeError, DanetError):
            return

    def _place(self, shape: tuple[int, ...], device: str, config: Mapping[str, Any]) -> Path:
        cpu = read_cpu()
        settings = sorted((key, str(value)) for key, value in config.items())
        limits = [os.environ.get(name) for name in _LIMITS]
        told = (
            FORMAT,
            ov.get_version(),
            cpu.name,
            cpu.features,
            cpu.cores,
            limits,
            self._content,
            shape,
            device,
            settings,
        )
        return self._folder / f"{self._name}-{hashlib.sha256(repr(told).encode()).hexdigest()[:32]}{SUFFIX}"

    def _remove_oldest(self) -> None:
        found = []
        for place in self._folder.glob(f"*{SUFFIX}"):
            with contextlib.suppress(OSError):  # another process removed it
                state = place.stat()
                found.append((state.st_mtime_ns, state.st_size, place))
        total = sum(size for _, size, _ in found)
        for _, size, place in sorted(found):
            if total <= MOST_BYTES:
                return
            with contextlib.suppress(OSError):
                place.unlink()
            total -= size


def open_store(path: Path, state: list[tuple[int, ...]]) -> CompiledStore | None:
    """The store of a model file in the user's cache folder; None where the user has none, or the file was replaced.

    Args:
        path: of the model, which was read.
        state: of its files before that; see `files_state`.
    """
    folder = cache_folder()
    if folder is None:
        return None
    try:
        content = model_sha256(path)
        return CompiledStore(folder / "compiled", path.stem, content) if files_state(path) == state else None
    except OSError:
        return None
