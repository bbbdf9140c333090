"""The models of a run: which file each backend opens, and what the paper says of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import openvino as ov

from danet.backends.registry import SUFFIXES, readers
from danet.embedded import embedded_model, embedded_names, is_embedded
from danet.errors import InputError
from danet.model_spec import Precision
from danet_benchmarks.file_facts import FileFacts, file_sha256
from danet_benchmarks.preparation import EXPORTS, Preparation
from danet_benchmarks.report.paper import PAPER_PRESETS, PAPER_SIZE, TABLE_II
from danet_benchmarks.results import Kind
from danet_benchmarks.trial import PaperFigures

EMBEDDED = "danet72"
_EMBEDDED_TOO = ("tflite",)
"""Backends beside OpenVINO that the package has a file for."""


@dataclass(frozen=True)
class Model:
    """A model that was asked for."""

    path: Path
    kind: Kind
    backends: tuple[str, ...]
    """To run it in where none are asked for."""
    hints: tuple[Precision, ...] = ("fp32",)
    """Arithmetic where none is asked for; what a backend lacks is left out."""
    facts: FileFacts | None = None
    checkpoint: Path | None = None
    """That it was made from, where it is at hand."""

    @property
    def name(self) -> str:
        """As its spec says, else the file's."""
        return self.facts.spec.name if self.facts else self.path.stem or str(self.path)

    def file_for(self, backend: str, preparation: Preparation) -> Path:
        """The file of this model that a backend opens; exported if need be.

        Raises:
            InputError: there is none.
            WorkerError: it cannot be exported; the text says why.
        """
        if self.kind == "rival" and backend in EXPORTS:
            return preparation.export_rival(self.path.name, backend)
        if self.kind == "foreign" and backend == "openvino":
            return preparation.wrap_foreign(self.path)
        if self.kind == "danet" and backend == "null":
            return self.path
        if self.kind == "danet" and self.path.suffix.lower() in opened_by(backend):
            return self.path
        if is_embedded(self.path) and backend in _EMBEDDED_TOO:
            return embedded_model(self.path.stem, backend) or self.path
        if self.checkpoint and self.checkpoint.suffix.lower() in opened_by(backend):
            return self.checkpoint
        if self.checkpoint and self.facts and backend in EXPORTS:
            return preparation.export(self.checkpoint, backend, self.facts.spec)
        raise InputError(self._no_file(backend))

    def _no_file(self, backend: str) -> str:
        if self.kind == "rival":
            return f"{self.path.name}: rivals are exported for {', '.join(EXPORTS)}, not for {backend}"
        if self.kind == "foreign":
            return f"{self.path.name}: foreign files are run by openvino, not by {backend}"
        if not self.path.suffix:
            return f"no embedded model named {self.path.name!r}; there is {', '.join(embedded_names())}; or give a file"
        return (
            f"{backend} opens {', '.join(opened_by(backend)) or 'no file'}, not {self.path.name}, and its checkpoint "
            "is not at hand; name that with --checkpoint, or give a file for this backend"
        )


def opened_by(backend: str) -> tuple[str, ...]:
    """Suffixes of the files that a backend opens."""
    return tuple(sorted(suffix for suffix in SUFFIXES if backend in readers(suffix)))


def embedded_default() -> Model:
    """The embedded model as it is measured where nothing is asked for: in every backend."""
    path = embedded_model(EMBEDDED)
    assert path is not None
    bf16 = "BF16" in ov.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    return Model(path, "danet", ("openvino", "onnxruntime", "tflite", "torch"), ("fp32", "bf16") if bf16 else ("fp32",))


def given_model(text: str) -> Model:
    """A model file, or an embedded model's name, in the backend that its suffix stands for."""
    path = embedded_model(text) or Path(text)
    return Model(path, "danet", (SUFFIXES.get(path.suffix.lower(), "openvino"),))


def rival_model(name: str) -> Model:
    """A network of the paper's tables with random weights, in OpenVINO."""
    return Model(Path(name), "rival", ("openvino",))


def foreign_model(path: Path) -> Model:
    """A pose network whose file carries no spec, in OpenVINO."""
    return Model(path, "foreign", ("openvino",))


def checkpoint_of(path: Path, facts: FileFacts, checkpoints: Sequence[Path]) -> Path | None:
    """The checkpoint that a model file was made from, by its sha256; a checkpoint is its own."""
    if facts.spec.source_sha256 is None:
        return None
    return next((one for one in (path, *checkpoints) if file_sha256(one) == facts.spec.source_sha256), None)


def checkpoints_at_hand(given: Sequence[Path]) -> tuple[Path, ...]:
    """Those given, and those of the clone that this file or the working directory lies in."""
    clones = {Path(__file__).resolve().parents[2], Path.cwd()}
    found = [path for clone in sorted(clones) for path in sorted(clone.glob("training/checkpoints/*.safetensors"))]
    return tuple(dict.fromkeys((*given, *found)))


def paper_figures(facts: FileFacts | None) -> PaperFigures:
    """What the paper says of a network ("danet72" and "danet72-..."); nothing of others, and of other crops."""
    if facts is None or facts.spec.input_size != PAPER_SIZE or facts.spec.preset not in PAPER_PRESETS:
        return PaperFigures()
    words = facts.spec.name.split("-")
    names = {_plain("-".join(words[:count])) for count in range(1, len(words) + 1)}
    row = next((row for row in TABLE_II if _plain(row.name) in names), None)
    return PaperFigures(row.pps, row.ap) if row else PaperFigures()


def _plain(name: str) -> str:
    return name.replace("-", "").lower()
