"""The figures of Table II and Fig. 1 of the paper, for the plots that repeat them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Published:
    """One system of Table II: COCO val2017, 256x192, detector boxes, flip test."""

    name: str
    family: str
    """Systems of one family are joined by a line."""
    gmacs: float
    """10^9 multiply-adds; the paper's GFLOPs."""
    ap: float
    """As a part of 1."""
    pps: float | None = None
    """Persons per second on eight cores of a Xeon Gold, read off Fig. 1b; None where not known."""


PAPER_SIZE = (256, 192)
"""Height and width of the crops in Table II."""
PAPER_PRESETS = ("paper", "rival")
"""Of ModelSpecs whose networks are built as the paper has them; the zoo's are not, and reach less."""
TABLE_II = (
    Published("Hourglass", "Hourglass", 26.2, 0.669),
    Published("CPN-R50", "CPN", 6.2, 0.686),
    Published("SimpleBaseline-R50", "SimpleBaseline", 8.9, 0.704),
    Published("HRNet-W16", "HRNet", 1.9, 0.718),
    Published("HRNet-W32", "HRNet", 7.1, 0.744),
    Published("MSPN-R18", "MSPN", 2.5, 0.708),
    Published("MSPN-R34", "MSPN", 4.2, 0.731),
    Published("MSPN-R50", "MSPN", 4.7, 0.733),
    Published("DANet-72", "DANet", 1.0, 0.710, 58.0),
    Published("DANet-88", "DANet", 1.4, 0.719),
    Published("DANet-98", "DANet", 1.6, 0.728),
    Published("DANet-102", "DANet", 1.8, 0.734, 32.0),
)
