"""A model file or an embedded model's name, opened as an estimator runs it."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path

from danet.backends.base import Backend, BackendOptions, LoadedModel
from danet.backends.registry import load_model
from danet.batching import MAX_BATCH, BatchedModel, batch_sizes
from danet.embedded import embedded_model, embedded_names
from danet.errors import BackendError, DanetError, InputError, ModelFileError, ModelSpecError
from danet.model_spec import ModelSpec
from danet.shares import Shares, Work, share_count
from danet.tuning.settings import Settings


@dataclass(frozen=True)
class OpenedModel:
    """A model as `infer` runs it and as `stream` does: the same but for batch sizes and streams."""

    loaded: LoadedModel
    settings: Settings
    """As they are really used: a file may fix its batch sizes."""
    single: BatchedModel
    streaming: BatchedModel
    shares: Shares
    """Of the calls that `single` would make."""

    def do(self, persons: int, work: Work) -> None:
        """Have `work` do the persons of one call of `infer`; see `Shares.do`."""
        self.shares.do(persons, self.single, work)

    def do_streamed(self, persons: int, work: Work) -> None:
        """Have `work` do the persons of one frame of `stream`: in shares, unless whole calls go side by side."""
        if self.settings.streams > 1:
            work(slice(0, persons), self.streaming)
        else:
            self.shares.do(persons, self.streaming, work)

    def plans(self) -> list[tuple[BatchedModel, int]]:
        """Each backend with a batch size that calls may use, once."""
        shared = self.shares.opened_model()
        left_over = MAX_BATCH if shared is None else self.shares.count // 2  # see `plan_shares`
        found = [(self.single, size) for size in self.single.sizes if size <= left_over]
        found += [
            (self.streaming, size)
            for size in self.streaming.sizes
            if size <= left_over or self.settings.streams > 1  # whose frames are not split
        ]
        if shared is not None:
            found += [(shared, size) for size in shared.sizes]
        return list({(id(model.backend), size): (model, size) for model, size in found}.values())

    def close(self) -> None:
        """Free the model. Calling it twice does no harm."""
        # first: a call whose shares are closed under it falls back on this one, which sums in another order
        self.single.backend.close()
        self.shares.close()
        if self.streaming.backend is not self.single.backend:
            self.streaming.backend.close()


def open_model(
    model: str | os.PathLike[str],
    backend: str | Backend | None,
    device: str,
    settings: Settings,
    spec: ModelSpec | None = None,
) -> OpenedModel:
    """Open a model, given as to `PoseEstimator`.

    Raises:
        ModelFileError, ModelSpecError, MissingExtraError: as `load_model`.
        BackendError: the backend refuses an option, streams for instance.
    """
    options = BackendOptions(device, settings.precision, settings.threads, spec=spec)
    sizes = batch_sizes(settings.batch_size), batch_sizes(settings.largest_stream_batch)
    loaded = streaming = _load(model, backend, options)
    if settings.streams > 1:
        try:
            streaming = _load(model, backend, replace(options, streams=settings.streams))
            if streaming.streams != settings.streams:
                raise BackendError(
                    f"streams {settings.streams}, but the backend works on {streaming.streams} call at a time; "
                    "leave streams at 1"
                )
        except DanetError:
            for opened in {id(one.backend): one.backend for one in (loaded, streaming)}.values():
                if opened is not backend:  # the caller's own
                    opened.close()
            raise
    if fixed := loaded.batch_sizes:
        sizes = fixed, fixed
        settings = replace(settings, batch_size=fixed[-1], stream_batch_size=None)
    count = share_count(loaded.backend, settings.shares, settings.threads, loaded.batch_sizes)
    return OpenedModel(
        loaded,
        settings if settings.shares is None else replace(settings, shares=count),
        BatchedModel(loaded.backend, sizes[0]),
        BatchedModel(streaming.backend, sizes[1]),
        Shares(loaded.backend, count, max(settings.batch_size, settings.largest_stream_batch)),
    )


def _load(model: str | os.PathLike[str], backend: str | Backend | None, options: BackendOptions) -> LoadedModel:
    if backend is not None and not isinstance(backend, str):
        if not isinstance(backend, Backend):
            raise BackendError(
                f"backend of type {type(backend).__name__}, expected a name or an object with run and close"
            )
        return LoadedModel(backend, None, options.precision or "the backend's own", batch_sizes=_own_sizes(backend))
    loaded = load_model(model_path(model, backend), backend, options)
    if loaded.batch_sizes and loaded.batch_sizes[-1] > MAX_BATCH:
        loaded.backend.close()
        raise ModelFileError(
            f"{os.fspath(model)}: made for batches of {loaded.batch_sizes[-1]}, expected {MAX_BATCH} at most; export "
            "it with a smaller or a free batch"
        )
    return loaded


def _own_sizes(backend: Backend) -> tuple[int, ...] | None:
    """The batch sizes that a backend made beforehand takes, as that of `open_tflite` says; None: any."""
    sizes = getattr(backend, "batch_sizes", None)
    if not (isinstance(sizes, tuple) and sizes and all(type(one) is int for one in sizes)):
        return None
    if not 1 <= min(sizes) <= max(sizes) <= MAX_BATCH:
        raise BackendError(f"a backend of batch_sizes {sizes}, expected 1 to {MAX_BATCH}")
    return tuple(sorted(sizes))


def model_path(model: str | os.PathLike[str], backend: str | None = None) -> Path:
    """The file that an estimator opens: an embedded model's, or the one that is named.

    Raises:
        ModelFileError: neither a file's name nor an embedded model's.
    """
    path = Path(model)
    name = os.fspath(model)
    if embedded := embedded_model(name, backend):
        return embedded
    if not path.suffix and backend != "null":
        raise ModelFileError(
            f"no embedded model named {name!r}; there are {', '.join(embedded_names()) or 'none'}, or give a model file"
        )
    return path


def effective_spec(given: ModelSpec | None, loaded: LoadedModel, model: str | os.PathLike[str]) -> ModelSpec:
    """The spec that a model is run by: the one given, else its file's.

    Raises:
        ModelSpecError: there is neither.
        InputError: the given one normalises otherwise than the file's graph, by the file's own spec.
    """
    spec = given or loaded.spec
    if spec is None:
        raise ModelSpecError(
            f"{os.fspath(model)} carries no model spec, so its crop, colours and decoder are unknown; pass "
            "PoseEstimator(..., spec=ModelSpec(name=..., input_size=..., box_padding=..., decoder=...))"
        )
    if loaded.spec is not None and _normalisation(spec) != _normalisation(loaded.spec):
        raise InputError(
            f"spec with mean {spec.mean} and std {spec.std}, but {os.fspath(model)} normalises by mean "
            f"{loaded.spec.mean} and std {loaded.spec.std} inside its graph; give these, or convert the checkpoint anew"
        )
    return spec


def _normalisation(spec: ModelSpec) -> tuple[tuple[float, ...], tuple[float, ...]]:
    return tuple(spec.mean), tuple(spec.std)
