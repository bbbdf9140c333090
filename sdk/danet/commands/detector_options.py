"""The options of every command that takes a detector's file, and the detector that they ask for."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from danet.commands.option_types import head, not_negative_whole

if TYPE_CHECKING:
    from danet.detectors.base import Detector

NOT_FILES = (None, "none", "hog")
"""What --detector may be besides a file."""


def add_detector_options(parser: argparse.ArgumentParser) -> None:
    """What a detector's file does not say of itself."""
    parser.add_argument(
        "--head", metavar="KIND", type=head, help="of a detector's file, where it is not recognised: yolox, ssd, ..."
    )
    parser.add_argument(
        "--person-class", metavar="N", type=not_negative_whole, help="of a detector's file: the class that counts"
    )


def wrong_detector_options(options: argparse.Namespace) -> str | None:
    """Why the options above do not go with `options.detector`; None where they do."""
    if options.detector not in NOT_FILES:
        return None
    for name, value in (("--head", options.head), ("--person-class", options.person_class)):
        if value is not None:
            return f"{name} is for a detector's file, not for --detector {options.detector or 'left out'}"
    return None


def open_chosen(options: argparse.Namespace, **own: Any) -> Detector:
    """The detector `options.detector` with the options above, and with `own` ones. Raises as `open_detector`."""
    from danet.detectors.opening import open_detector

    told = {} if options.detector in NOT_FILES else {"head": options.head, "person_class": options.person_class}
    return open_detector(options.detector, threads=options.threads, **told, **own)
