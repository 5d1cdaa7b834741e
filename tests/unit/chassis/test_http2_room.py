"""The memory that messages take while they come is bounded for all clients together."""

import pytest

from chassis.rpc.http2.room import SLOW_S, Full, Room


class Call:
    """One that gives way as it should."""

    def __init__(self, room: Room) -> None:
        self.room = room
        self.gave_way = False

    def give_way(self) -> None:
        self.gave_way = True
        self.room.hold(self, 0, 0.0)


def test_who_comes_when_there_is_no_room_is_refused() -> None:
    room = Room(100)
    first, second = Call(room), Call(room)
    room.hold(first, 80, now=0.0)
    with pytest.raises(Full):
        room.hold(second, 30, now=1.0)
    room.hold(second, 0, now=1.0)
    room.hold(first, 100, now=2.0)
    assert (room.taken_bytes, first.gave_way) == (100, False)


def test_who_holds_more_than_there_is_alone_is_refused_itself() -> None:
    room = Room(100)
    call = Call(room)
    room.hold(call, 100, now=0.0)
    with pytest.raises(Full):
        room.hold(call, 101, now=2 * SLOW_S)
    assert not call.gave_way


def test_who_is_slow_gives_way_and_only_as_many_as_must() -> None:
    room = Room(100)
    slow, slower, quick, new = (Call(room) for _ in range(4))
    room.hold(slower, 40, now=0.0)
    room.hold(slow, 40, now=1.0)
    room.hold(quick, 20, now=SLOW_S)
    room.hold(slower, 41 - 1, now=SLOW_S)  # that it goes on does not make it young
    room.hold(new, 30, now=SLOW_S + 1)
    assert [each.gave_way for each in (slower, slow, quick)] == [True, False, False]
    assert room.taken_bytes == 90
    with pytest.raises(Full):
        room.hold(new, 60, now=2.0)


def test_nothing_is_left_of_who_holds_nothing() -> None:
    room = Room(100)
    calls = [Call(room) for _ in range(10)]
    for call in calls:
        room.hold(call, 10, now=0.0)
    for call in calls:
        room.hold(call, 0, now=0.0)
        room.hold(call, 0, now=0.0)
    assert room.taken_bytes == 0
    room.hold(calls[0], 100, now=0.0)
