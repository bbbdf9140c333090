"""Names on their way to OpenCV, which ends the process where one is no UTF-8 (4.14)."""

from __future__ import annotations

from danet.errors import DanetError


def opencv_name(name: str, error: type[DanetError], told: str | None = None) -> str:
    """The name as it is.

    Args:
        name: a path or an address.
        error: what is raised.
        told: what its message calls the name; the name itself if None.

    Raises:
        error: the name holds bytes that are no UTF-8 (Python keeps those of a path as surrogates).
    """
    try:
        name.encode()
    except UnicodeEncodeError:
        raise error(f"{told or name}: the name is not UTF-8, and OpenCV takes no other; rename it") from None
    return name
