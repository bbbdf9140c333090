"""The tuning kept for a model: beside its file, or in the user's cache folder.

A tuning may only ever make things faster. Whatever is wrong with one, it is left out and the reason
is told; it never stops an app.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

from danet.cache_folder import cache_folder
from danet.cpu import read_cpu
from danet.embedded import is_embedded
from danet.errors import DanetError, ModelFileError
from danet.files import write_beside
from danet.model_files import model_sha256
from danet.tuning.record import MAX_BYTES, Tuning
from danet.tuning.settings import Settings
from danet.tuning.situation import Situation, read_situation

SUFFIX = ".tuning.json"


@dataclass(frozen=True)
class FoundTuning:
    """What was found for a model."""

    note: str
    """One line: where it is from, or why there is none."""
    path: Path | None = None
    """The file that was looked at; None where there is no such file."""
    tuning: Tuning | None = None
    """None: nothing that holds here."""

    @property
    def settings(self) -> Settings | None:
        """The settings to use; None: nothing that holds here."""
        return self.tuning.settings if self.tuning else None


NOT_LOOKED_FOR = FoundTuning("not looked for")


def beside(model: Path) -> Path:
    """The tuning's place beside a model file: danet72.xml.tuning.json.

    The whole name of the model is kept, since danet72.xml and danet72.onnx may share a folder.
    """
    return model.with_name(model.name + SUFFIX)


def in_cache(model: Path, backend: str) -> Path | None:
    """The tuning's place in the user's cache folder; None where the user has no home.

    The cache, not the configuration: to lose the file costs a minute of measuring. The name holds a
    hash of the model's path, so that a copy of the model elsewhere, in a test say, is not affected, of the backend, and
    of this CPU, since machines may share a home.
    """
    folder = cache_folder()
    if folder is None:
        return None
    cpu = read_cpu()
    parts = (os.fsencode(model.resolve()), backend.encode(), cpu.name.encode(), *map(str.encode, cpu.features))
    name = hashlib.sha256(b"\0".join(parts)).hexdigest()[:16]
    return folder / "tuning" / f"{model.stem}-{name}{SUFFIX}"


def find_tuning(model: Path, backend: str) -> FoundTuning:
    """The tuning that holds for a model file in a backend, on this machine, or why there is none.

    Where several hold, the latest: the folder of one that was kept beside the model may have become read-only since.
    """
    held: list[tuple[str, FoundTuning]] = []
    refused: list[tuple[bool, FoundTuning]] = []
    try:
        places = _places(model, backend)
    except (OSError, RuntimeError, ValueError) as error:  # links in a circle; a name with "\0"
        return FoundTuning(f"not looked for: {error}")
    for place in places:
        other = False
        try:
            if not place.is_file():  # raises where a folder above it may not be searched
                continue
            tuning = _read(place)
            other = tuning.situation.backend != backend
            reason = _refusal(tuning, model, read_situation(backend))
        except (DanetError, OSError) as error:
            reason = " ".join(str(error).split())
        else:
            if reason is None:
                held.append((tuning.measured_at, FoundTuning(f"from {place}", place, tuning)))
                continue
        refused.append((other, FoundTuning(f"{place} is not used: {reason}", place)))
    if held:
        return max(held, key=lambda one: one[0])[1]
    if refused:  # that one is another backend's says least
        return min(refused, key=lambda one: one[0])[1]
    return FoundTuning("none; danet tune MODEL --save measures and keeps one")


def save_tuning(tuning: Tuning, model: Path) -> Path:
    """Keep a tuning where `find_tuning` looks for it, whole or not at all; gives the place.

    Beside the model; in the user's cache folder for an embedded model, whose folder belongs to the
    installed package, where the model's folder cannot be written, and where that holds this file's tuning for another
    backend or CPU.

    Raises:
        OSError: neither can be written.
        ModelFileError: there is no such place.
    """
    places = places_to_keep(model, tuning.situation.backend)
    if _is_of_another(places[0], tuning):
        places.reverse()
    for place in places:
        try:
            with write_beside(place) as temporary:
                temporary.write_text(tuning.to_json(), encoding="utf-8")
        except OSError:
            if place == places[-1]:
                raise
        else:
            break
    return place


def _is_of_another(place: Path, tuning: Tuning) -> bool:
    """Whether what is kept there holds for this file with another backend or CPU, where it is still of use."""
    try:
        found = _read(place)
    except (DanetError, OSError):
        return False
    kept, new = found.situation, tuning.situation
    elsewhere = (kept.backend, kept.cpu, kept.features) != (new.backend, new.cpu, new.features)
    return elsewhere and found.model_sha256 == tuning.model_sha256


def places_to_keep(model: Path, backend: str) -> list[Path]:
    """The places where a tuning may be kept, the first one to be tried first.

    Raises:
        ModelFileError: there is none.
    """
    places = _places(model, backend)
    if not places:
        raise ModelFileError(
            f"{model}: no place to keep a tuning: the model is embedded, and there is no cache folder (no home folder, "
            "or DANET_CACHE_DIR is empty)"
        )
    return places


def _places(model: Path, backend: str) -> list[Path]:
    cached = in_cache(model, backend)
    own = [] if is_embedded(model) else [beside(model)]
    return own if cached is None else [*own, cached]


def _read(place: Path) -> Tuning:
    with place.open("rb") as file:
        data = file.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise ModelFileError(f"tuning: more than {MAX_BYTES} bytes; run danet tune --save again")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ModelFileError(f"tuning: not UTF-8 ({error.reason}); run danet tune --save again") from error
    return Tuning.from_json(text)


def _refusal(tuning: Tuning, model: Path, now: Situation) -> str | None:
    """Why a tuning does not hold here; the model is hashed only where all else fits."""
    if difference := tuning.situation.difference(now):
        return difference
    if tuning.model_sha256 != model_sha256(model):
        return "measured with another model file of this name"
    return None
