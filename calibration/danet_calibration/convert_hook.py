"""What `danet convert --precision int8` runs: the same gate as `danet quantize`, found by an entry point.

Converters stand below this package and know nothing of it; they look for a function of this signature
under the entry-point group `danet.quantizers`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from danet.commands.console import progress_bar
from danet.errors import InputError
from danet_calibration.command import print_report, tell_attempts
from danet_calibration.data import DataChoice
from danet_calibration.formats import FORMATS
from danet_calibration.quantize import quantize
from danet_calibration.request import Request
from danet_calibration.watch import Watch
from danet_converters.export import refuse_other_names


def quantize_checkpoint(
    checkpoint: Path, formats: Sequence[str], out: Path, name: str | None = None, data: Path | None = None
) -> int:
    """Quantize a checkpoint with the defaults of `danet quantize`; says on stderr what became of it.

    Args:
        checkpoint: as `danet convert` takes it.
        formats: names such as "openvino".
        out: folder of the files.
        name: of the files, before "-int8"; the model's if not given.
        data: what to calibrate and to measure on; rendered persons if not given.

    Returns:
        The exit status: 0 all written, 1 where a format was refused.

    Raises:
        InputError: a format that has no INT8, no name of a file; else as `danet_calibration.quantize.quantize`.
    """
    if name is not None:
        refuse_other_names(name)  # before "-int8" makes one of nothing
    if unknown := [one for one in formats if one not in FORMATS]:
        raise InputError(f"{unknown[0]} in int8: expected {', '.join(FORMATS)}")
    request = Request(
        model=str(checkpoint),
        out=out,
        formats=tuple(dict.fromkeys(formats)),
        data=DataChoice(data),
        name=None if name is None else f"{name}-int8",
    )
    with progress_bar() as bar:
        report = quantize(request, Watch(bar), tell_attempts)
    print_report(report)
    return 0 if report.passed else 1
