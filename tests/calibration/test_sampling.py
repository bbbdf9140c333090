from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from danet.errors import InputError
from danet_calibration.candidates import Candidate, rendered_candidates
from danet_calibration.sampling import choose
from danet_evaluation.rendered import FIRST_SEED, RenderedPicture


def candidates(**counts: int) -> list[Candidate]:
    """Persons of heights 1, 2, 3, ... from each source."""
    return [
        Candidate(RenderedPicture(number, 1), np.array([0.0, 0, 10, number + 1]), source)
        for source, count in counts.items()
        for number in range(count)
    ]


def test_rare_sources_count_as_much_as_large_ones() -> None:
    chosen = choose(candidates(large=1000, rare=12, small=30), 30, seed=0)
    assert Counter(one.source for one in chosen) == {"large": 10, "rare": 10, "small": 10}


def test_sizes_are_spread() -> None:
    chosen = choose(candidates(only=300), 30, seed=0)
    heights = [one.box[3] for one in chosen if one.box is not None]
    assert [sum(low < height <= low + 100 for height in heights) for low in (0, 100, 200)] == [10, 10, 10]


def test_what_a_source_lacks_the_others_give() -> None:
    chosen = choose(candidates(large=100, rare=2), 20, seed=0)
    assert Counter(one.source for one in chosen) == {"large": 18, "rare": 2}
    assert len({id(one) for one in chosen}) == 20


def test_all_where_fewer_are_there() -> None:
    pool = candidates(few=5)
    assert {id(one) for one in choose(pool, 300, seed=0)} == {id(one) for one in pool}


def test_seeded() -> None:
    pool = candidates(a=100, b=50)
    assert choose(pool, 20, 3) == choose(pool, 20, 3)
    assert choose(pool, 20, 3) != choose(pool, 20, 4)


def test_nothing_to_choose_from() -> None:
    with pytest.raises(InputError, match="no person to calibrate on"):
        choose([], 10, 0)


def test_rendered_persons_are_seeded_and_none_of_the_evaluators() -> None:
    first = rendered_candidates(6, seed=1)
    scenes = [one.picture for one in first]
    assert scenes == [one.picture for one in rendered_candidates(6, seed=1)]
    assert scenes != [one.picture for one in rendered_candidates(6, seed=2)]
    assert all(isinstance(scene, RenderedPicture) and scene.seed < FIRST_SEED for scene in scenes)
