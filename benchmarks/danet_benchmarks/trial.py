"""One case with the file behind it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from danet.model_spec import Precision
from danet_benchmarks.file_facts import FileFacts
from danet_benchmarks.results import Case, Row


@dataclass(frozen=True)
class PaperFigures:
    """What the paper says of a network of this name."""

    pps: float | None = None
    """Fig. 1b's."""
    coco_ap: float | None = None
    """Table II's."""


@dataclass(frozen=True)
class Trial:
    """A case that is to be tried, or that cannot be."""

    case: Case
    path: Path
    hint: Precision | None = None
    """The arithmetic asked of the backend; None: its own choice, float32."""
    facts: FileFacts | None = None
    """None where the file could not be read, or there is none (the null backend)."""
    checkpoint: Path | None = None
    """The reference of its accuracy, where it is at hand."""
    paper: PaperFigures = PaperFigures()
    error: str | None = None
    """Why it cannot be tried."""

    def row(self) -> Row:
        """The row of the report before anything is measured."""
        facts = self.facts
        return Row(
            case=self.case,
            file_mib=facts.file_mib if facts else 0.0,
            parameters_m=facts.parameters_m if facts else None,
            gmacs=facts.gmacs if facts else None,
            paper_pps=self.paper.pps,
            paper_coco_ap=self.paper.coco_ap,
            error=self.error,
        )
