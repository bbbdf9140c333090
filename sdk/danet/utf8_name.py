"""Names on their way to libraries that take UTF-8 alone: OpenCV 4.14 ends the process where one is none."""

from __future__ import annotations

from danet.errors import DanetError


def utf8_name(name: str, error: type[DanetError], told: str | None = None, library: str = "OpenCV") -> str:
    """The name as it is.

    Args:
        name: a path or an address.
        error: what is raised.
        told: what its message calls the name; the name itself if None.
        library: that takes the name.

    Raises:
        error: the name holds bytes that are no UTF-8 (Python keeps those of a path as surrogates).
    """
    try:
        name.encode()
    except UnicodeEncodeError:
        raise error(f"{told or name}: the name is not UTF-8, and {library} takes no other; rename it") from None
    return name
