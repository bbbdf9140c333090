"""Writing files so that a crash, a kill or a full disk leaves either the old file or the new one.

A file is made in a hidden folder beside its place, `.NAME.xxxxxxxx.part`, and renamed at the end. A
process that is killed leaves that folder, and the next one that writes the same file removes it: a
folder whose writer lives is locked, and the system takes the lock from whoever dies. Windows has no such
locks for folders, so there it is left to the user.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import shutil
import stat
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from danet.errors import DanetError

if sys.platform != "win32":
    import fcntl

PART = ".part"
"""The end of a hidden folder's name."""
LOCK_S = 10.0
"""How long a folder that another one keeps locked is waited for."""
NAME_LENGTH = 48
"""Characters of a file's name in that of its hidden folder, which must not become too long for the disk."""
_FULL = (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC))  # Windows knows no quota by that name
_NO_FOLDER = (errno.ENOTDIR, errno.EEXIST)
_NEARLY_NONE = 64 << 10
"""Free bytes below which a disk is full, for errors of libraries that do not tell."""


@contextlib.contextmanager
def write_beside(path: Path) -> Iterator[Path]:
    """A temporary path beside `path`; renamed to `path` when the block ends well.

    The name keeps the suffixes of `path`, since some writers choose their format by it. A pipe or a device such as
    /dev/stdout is written to, not replaced.

    Raises:
        OSError: with the name `path`: it cannot be written, or the disk is full.
    """
    refuse_folder(path)
    if is_pipe_or_device(path):
        with tempfile.TemporaryDirectory(prefix="danet-") as folder:
            temporary = Path(folder) / path.name
            yield temporary
            # appended: /dev/stdout may be a file that others have written to
            with _named(path), temporary.open("rb") as source, path.open("ab", buffering=0) as target:
                shutil.copyfileobj(source, target)
        return
    with scratch_beside(path) as scratch:
        temporary = scratch / path.name
        yield temporary
        _flush(temporary)
        temporary.replace(path)


def is_pipe_or_device(path: Path) -> bool:
    """A FIFO or character device, or a file by the name of one: /dev/stdout may lead to any."""
    try:
        mode = path.stat().st_mode
    except OSError:
        return False
    by_name = stat.S_ISREG(mode) and str(path.absolute().parent) in ("/dev", "/dev/fd")
    return stat.S_ISCHR(mode) or stat.S_ISFIFO(mode) or by_name


@contextlib.contextmanager
def scratch_beside(path: Path) -> Iterator[Path]:
    """A hidden folder beside `path`, in which it is prepared; removed at the end.

    Those that killed processes left for the same path are removed as well.

    Raises:
        OSError: with the name `path`: the folder cannot be made, or anything in the block that the system
            refused, or a full disk, however a library told of it.
    """
    prefix = f".{path.name[:NAME_LENGTH]}."
    with _named(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove_abandoned(path.parent, prefix)
        scratch, lock = _make_locked(path.parent, prefix)
    try:
        with _named(path):  # before the removal, which makes room on a full disk
            yield scratch
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
        if lock is not None:
            os.close(lock)


def move_together(files: Sequence[Path], folder: Path) -> None:
    """Move files that belong together to `folder`, over those of these names.

    The first one is what opens the others. It goes first and comes last, so that a kill in between leaves
    no old one beside new ones; where an error comes in between, the old ones are put back, and new ones that
    stand for none are removed. One caller after the other moves to a folder, in all processes.

    Raises:
        OSError: one cannot be moved; `folder` is as it was.
    """
    for file in files:
        refuse_folder(folder / file.name)
        _flush(file)
    old = files[0].parent / "replaced"
    old.mkdir()
    with _alone_in(folder):
        try:
            for file in files:
                if (folder / file.name).exists():
                    (folder / file.name).replace(old / file.name)
            for file in reversed(files):
                file.replace(folder / file.name)
        except BaseException:
            for moved in (file for file in files if not file.exists()):
                (folder / moved.name).unlink(missing_ok=True)
            for kept in (old / file.name for file in reversed(files)):
                if kept.exists():
                    kept.replace(folder / kept.name)
            raise


@contextlib.contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """Wait until no other caller is in `folder`; where it cannot be locked in `LOCK_S`, go on without."""
    with contextlib.ExitStack() as stack:
        if sys.platform != "win32":
            with contextlib.suppress(OSError):  # a folder that may not be read, a disk without locks
                handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
                stack.callback(os.close, handle)
                _wait_for_lock(handle)
                # closing is not enough where another thread forks meanwhile: its child has the handle too
                stack.callback(fcntl.flock, handle, fcntl.LOCK_UN)
        yield


def _wait_for_lock(handle: int) -> None:
    """Wait for the lock; raises BlockingIOError where somebody keeps it, as one who locks a folder for a whole run."""
    end = time.monotonic() + LOCK_S
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > end:
                raise
            time.sleep(0.01)
        else:
            return


def _flush(path: Path) -> None:
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def refuse_folder(path: Path) -> None:
    """Refuse a place that cannot be written, before any work is done.

    Raises:
        IsADirectoryError: `path` is a folder.
    """
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, "a folder, expected a file to write", str(path))


def refuse_unwritable(path: Path) -> None:
    """Refuse a place where no file can be made, before any work is done; makes nothing, folders neither.

    Raises:
        IsADirectoryError: `path` is a folder.
        OSError: with the name `path`: a folder above it is a file, or may not be written to.
    """
    refuse_folder(path)
    if is_pipe_or_device(path):
        return
    folder = next((one for one in path.absolute().parents if os.path.lexists(one)), None)
    if folder is None:  # a drive, or another machine's share, that is not there
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path))
    try:
        made = _new_folder(folder, f".{path.name[:NAME_LENGTH]}.")  # a try: permissions do not tell of read-only disks
    except OSError as error:
        raise OSError(error.errno, _reason(error, path), str(path)) from error
    with contextlib.suppress(OSError):  # taken for abandoned by another writer
        made.rmdir()


@contextlib.contextmanager
def _named(path: Path) -> Iterator[None]:
    """Errors of the system get the name that the user knows, and a full disk is told as such."""
    try:
        yield
    except OSError as error:
        if error.filename is not None and not _concerns(error.filename, path):
            raise
        raise OSError(error.errno, _reason(error, path), str(path)) from error
    except (RuntimeError, DanetError) as error:
        # PyTorch and OpenVINO raise errors of their own on a full disk, or cannot read back what was cut
        if not _is_full(path.parent):
            raise
        raise OSError(errno.ENOSPC, f"{os.strerror(errno.ENOSPC)} ({_free_words(path.parent)})", str(path)) from error


def _concerns(named: str | bytes, path: Path) -> bool:
    """Whether an error's file is `path`, a folder above it, or in the hidden folder beside it."""
    file, whole = Path(os.fsdecode(named)).absolute(), path.absolute()
    hidden = f".{path.name[:NAME_LENGTH]}."
    below = file.relative_to(whole.parent).parts if file.is_relative_to(whole.parent) else ()
    return whole.is_relative_to(file) or any(part.startswith(hidden) for part in below[:1])


def _reason(error: OSError, path: Path) -> str:
    reason = error.strerror or str(error) or type(error).__name__
    if error.errno in _FULL:
        return f"{reason} ({_free_words(path.parent)})"
    file = next((one for one in path.parents if one.is_file()), None) if error.errno in _NO_FOLDER else None
    return f"{file} is a file, expected a folder" if file else reason


def _is_full(folder: Path) -> bool:
    try:
        return shutil.disk_usage(folder).free < _NEARLY_NONE
    except OSError:
        return False


def _free_words(folder: Path) -> str:
    """How much is free on the disk of a folder, and where that disk is."""
    folder = folder.absolute()
    disk = next((one for one in (folder, *folder.parents) if one.is_mount()), folder)
    try:
        return f"{shutil.disk_usage(folder).free / (1 << 20):.1f} MiB free on {disk}"
    except OSError:
        return f"on {disk}"


def _make_locked(folder: Path, prefix: str) -> tuple[Path, int | None]:
    """A new hidden folder, and the handle that holds its lock."""
    while True:
        made = _new_folder(folder, prefix)
        try:
            lock = _lock(made)
        except (BlockingIOError, FileNotFoundError):
            continue  # taken for abandoned by another writer before it was locked, and removed
        if made.is_dir():
            return made, lock
        if lock is not None:
            os.close(lock)


def _new_folder(folder: Path, prefix: str) -> Path:
    if sys.platform != "win32":
        return Path(tempfile.mkdtemp(dir=folder, prefix=prefix, suffix=PART))
    # mkdtemp's is its owner's alone there, and files that are renamed out of it stay so (CPython #118486)
    made = folder / f"{prefix}{secrets.token_hex(8)}{PART}"
    made.mkdir()
    return made


def _lock(folder: Path) -> int | None:
    """Lock a folder, without waiting, and give the handle that holds the lock; None where there are no locks.

    Raises:
        BlockingIOError: another has it.
        FileNotFoundError: the folder is gone.
    """
    if sys.platform == "win32":
        return None
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(handle)
        if isinstance(error, BlockingIOError):
            raise
        return None
    return handle


def _remove_abandoned(folder: Path, prefix: str) -> None:
    """Remove hidden folders whose writers died; whatever cannot be locked or removed stays."""
    # no Path for each: thousands of pictures may be written to one folder
    with os.scandir(folder) as entries:
        lefts = [Path(one.path) for one in entries if one.name.startswith(prefix) and one.name.endswith(PART)]
    for left in lefts:
        with contextlib.suppress(OSError):
            lock = _lock(left)
            if lock is not None:
                shutil.rmtree(left, ignore_errors=True)
                os.close(lock)
