from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest

from danet.app.lending import Lending
from danet.errors import BackendError, ModelFileError


class Shop:
    """Counts what is opened and closed."""

    def __init__(self, most_unused: int = 1) -> None:
        self.opened: list[str] = []
        self.closed: list[str] = []
        self.lending = Lending(self._open, self.closed.append, most_unused)

    def _open(self, key: str) -> str:
        self.opened.append(key)
        if key == "broken" and self.opened.count("broken") == 1:
            raise ModelFileError("broken: no such file")
        return key.upper()


def test_one_object_for_all_threads_at_a_time() -> None:
    shop, everyone = Shop(), Barrier(8)

    def use(_: int) -> str:
        with shop.lending.lend("a") as value:
            everyone.wait(10)  # all eight hold it at once
            return value

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(use, range(8))) == {"A"}
    assert (shop.opened, shop.closed) == (["a"], [])


def test_the_least_recently_used_is_closed_and_never_one_in_use() -> None:
    shop = Shop(most_unused=1)
    with shop.lending.lend("a"):
        for key in ("b", "c"):
            with shop.lending.lend(key):
                pass
        assert shop.closed == ["B"]
    assert shop.closed == ["B", "A"]  # a was asked for before c
    with shop.lending.lend("c"):
        pass
    assert shop.opened == ["a", "b", "c"]


def test_what_failed_to_open_is_tried_again() -> None:
    shop = Shop()
    with pytest.raises(ModelFileError, match="no such file"), shop.lending.lend("broken"):
        pass
    with shop.lending.lend("broken") as value:
        assert value == "BROKEN"
    assert shop.closed == []


def test_closing_waits_for_users() -> None:
    shop = Shop()
    with shop.lending.lend("unused"):
        pass
    with shop.lending.lend("used"):
        shop.lending.close()
        assert shop.closed == ["UNUSED"]
    assert shop.closed == ["UNUSED", "USED"]
    shop.lending.close()
    with pytest.raises(BackendError, match="being closed"), shop.lending.lend("a"):
        pass
    assert len(shop.closed) == 2
