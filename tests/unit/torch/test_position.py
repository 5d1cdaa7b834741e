"""What the process that trains tells its workers."""

import itertools
from collections.abc import Iterator

import pytest
from torch.utils.data import DataLoader, IterableDataset

from headwater.datasets.batches import Cursor
from headwater.errors import InvalidArgument
from headwater.torch.position import Position, SharedToken


class Telling(IterableDataset[str]):
    """Says without end which token a worker knows, and where it would begin."""

    def __init__(self, token: SharedToken, position: Position) -> None:
        self._token = token
        self._position = position

    def __iter__(self) -> Iterator[str]:
        for _ in itertools.count():
            yield f"{self._token()} {self._position.start.epoch}"


@pytest.mark.parametrize("context", ["fork", "spawn"])
def test_workers_that_run_learn_of_a_new_token_and_a_new_epoch(context: str) -> None:
    present = ["first"]
    token, position = SharedToken(lambda: present[0]), Position()
    position.move(Cursor(3))
    loader = DataLoader(
        Telling(token, position), batch_size=None, num_workers=1, prefetch_factor=1, multiprocessing_context=context
    )
    told = iter(loader)
    assert next(told) == "first 3"
    present[0] = "a second, longer one"
    token.publish()
    position.move(Cursor(4))
    # What was read ahead comes first.
    assert "a second, longer one 4" in itertools.islice(told, 5)
    assert token() == "a second, longer one"


def test_a_token_that_is_no_token_is_refused() -> None:
    with pytest.raises(InvalidArgument, match="16384 bytes"):
        SharedToken(lambda: "x" * 20_000)


def test_a_pass_begins_where_the_last_one_began_until_it_has_ended_or_is_moved() -> None:
    position = Position()
    position.move(Cursor(2, 50))
    assert position.begin() == Cursor(2, 50)
    position.reached(Cursor(2, 60))
    assert (position.start, position.now) == (Cursor(2, 50), Cursor(2, 60))
    assert position.begin() == Cursor(2, 50)
    position.ended()
    assert position.start == position.now == Cursor(3, 0)
