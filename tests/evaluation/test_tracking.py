from __future__ import annotations

import numpy as np
import pytest

from danet.errors import InputError
from danet_evaluation.tracking import TrackedFrame, tracking_figures

NAMES = (1, 2, 3)


def frame(found: dict[int, int], hidden: tuple[int, ...] = (), absent: tuple[int, ...] = ()) -> TrackedFrame:
    """Three persons; `found`: the tracker's id -> who that is, 0 for nobody."""
    present = [one for one in NAMES if one not in absent]
    alike = [[0.9 if one == other else 0.1 for other in found.values()] for one in present]
    return TrackedFrame(
        ids=np.array(present, np.int64),
        counted=np.array([one not in hidden for one in present], bool),
        found_ids=np.array(list(found), np.int64),
        similarity=np.array(alike, float).reshape(len(present), len(found)),
    )


def test_perfect() -> None:
    figures = tracking_figures([[frame({7: 1, 8: 2, 9: 3})] * 5])
    assert (figures.mota, figures.idf1, figures.id_switches, figures.persons, figures.ids) == (1, 1, 0, 15, 3)


def test_worked_by_hand() -> None:
    """12 persons: one miss, one false positive, and two ids that are exchanged after the second frame."""
    frames = [
        frame({7: 1, 8: 2, 9: 3}),
        frame({7: 1, 8: 2}),
        frame({8: 1, 7: 2, 9: 3}),
        frame({8: 1, 7: 2, 9: 3, 99: 0}),
    ]
    figures = tracking_figures([frames])
    assert (figures.misses, figures.false_positives, figures.id_switches) == (1, 1, 2)
    assert figures.mota == pytest.approx(1 - 4 / 12)
    # each of persons 1 and 2 has its id in two of four frames, person 3 in all but the missed one
    idtp = 2 + 2 + 3
    assert figures.idf1 == pytest.approx(2 * idtp / (12 + 12))


def test_hidden_persons_cost_nothing() -> None:
    seen, unseen = frame({7: 1, 8: 2, 9: 3}, hidden=(2,)), frame({7: 1, 9: 3}, hidden=(2,))
    figures = tracking_figures([[seen, unseen]])
    assert (figures.mota, figures.idf1, figures.persons) == (1, 1, 4)


def test_ids_of_sequences_are_apart() -> None:
    one = [frame({7: 1, 8: 2, 9: 3})] * 2
    other = [frame({9: 1, 7: 2, 8: 3})] * 2
    assert tracking_figures([one, other]).id_switches == 0
    assert tracking_figures([one + other]).id_switches == 3


def test_empty_frames() -> None:
    nobody = frame({}, absent=(1, 2, 3))
    figures = tracking_figures([[nobody, frame({}), frame({7: 1, 8: 2, 9: 3}), frame({5: 0}, absent=(1, 2, 3))]])
    assert (figures.misses, figures.false_positives) == (3, 1)
    with pytest.raises(InputError, match="no frame has a person"):
        tracking_figures([[nobody]])
