"""What OpenVINO's performance counters show, and what is meant by it."""

from __future__ import annotations


def means_after(warm: dict[str, float], all_calls: dict[str, float], warm_up: int, calls: int) -> dict[str, float]:
    """Means of the calls after a warm-up: the counters themselves are means of all calls since the graph was compiled.

    Args:
        warm: counters by name after the calls of the warm-up.
        all_calls: counters after all calls.
        warm_up: number of its calls.
        calls: number of all calls, more than `warm_up`.
    """
    spent = {name: calls * mean - warm_up * warm[name] for name, mean in all_calls.items()}
    # counters are whole microseconds: of what takes less, the difference may lie below 0
    return {name: max(0.0, total) / (calls - warm_up) for name, total in spent.items()}
