"""What workers print is kept as whole lines, bounded, by worker and time."""

from __future__ import annotations

from queue import Empty

import pytest

from edge_agent.engine.functions import logbook
from edge_agent.engine.functions.logbook import Logbook


class Clock:
    now = 1000

    def __call__(self) -> int:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def book(clock: Clock) -> Logbook:
    return Logbook(clock)


def texts(book: Logbook, function: str = "f", **asked: int) -> list[tuple[str, str]]:
    return [(line.worker, line.text) for line in book.read(function, **asked)[0]]


def test_pieces_become_lines_by_worker_and_what_has_not_ended_is_shown_last(book: Logbook) -> None:
    book.heard("f", "a", b"one\ntw")
    book.heard("f", "b", b"other\r\n")
    assert texts(book) == [("a", "one"), ("b", "other"), ("a", "tw")]
    book.heard("f", "a", b"o\n\nthree")
    assert texts(book) == [("a", "one"), ("b", "other"), ("a", "two"), ("a", ""), ("a", "three")]
    assert book.read("nobody") == ([], 0)


def test_a_letter_cut_in_two_is_one_letter_and_no_text_is_no_error(book: Logbook) -> None:
    whole = "größe 🌡\n".encode()
    for number in range(len(whole)):
        book.heard("f", "a", whole[number : number + 1])
    book.heard("f", "a", b"\xff\n")
    assert texts(book) == [("a", "größe 🌡"), ("a", "\ufffd")]


def test_what_a_worker_began_is_a_line_when_it_is_gone(book: Logbook) -> None:
    book.heard("f", "a", b"last words")
    following = book.follow("f")
    book.heard("f", "a", b"")
    assert following.get_nowait()[1]["text"] == "last words"
    assert texts(book) == [("a", "last words")]


def test_it_is_bounded_by_bytes_and_counts_what_it_let_go(clock: Clock) -> None:
    book = Logbook(clock, most=10 * (logbook.OVERHEAD + 5))
    for number in range(25):
        book.heard("f", "a", b"%05d\n" % number)
    assert texts(book) == [("a", f"{number:05d}") for number in range(15, 25)]
    assert book.read("f")[1] == 15


def test_an_endless_line_is_cut_and_workers_that_never_end_one_do_not_pile_up(book: Logbook) -> None:
    book.heard("f", "a", b"x" * (3 * logbook.LONGEST_LINE + 1))
    assert [len(text) for _, text in texts(book)] == [logbook.LONGEST_LINE] * 3 + [1]
    for number in range(10 * logbook.MOST_BEGUN):
        book.heard("g", f"w{number}", b"begun")
    assert len(book._pages["g"].begun) <= logbook.MOST_BEGUN


def test_since_and_tail_choose_the_newest(book: Logbook, clock: Clock) -> None:
    for at in (1000, 2000, 3000):
        clock.now = at
        book.heard("f", "a", b"at %d\n" % at)
    assert texts(book, since=2000) == [("a", "at 2000"), ("a", "at 3000")]
    assert texts(book, tail=1) == [("a", "at 3000")]


def test_a_follower_hears_every_line_of_its_function_and_a_slow_one_loses_the_oldest(book: Logbook) -> None:
    fast, other = book.follow("f"), book.follow("g")
    book.heard("f", "a", b"one\n")
    assert fast.get_nowait() == ("line", {"n": 1, "at": 1000, "worker": "a", "text": "one"})
    with pytest.raises(Empty):
        other.get_nowait()
    for number in range(logbook.BEHIND + 3):
        book.heard("f", "a", b"%d\n" % number)
    assert fast.get_nowait()[1]["text"] == "3"
    book.unfollow("f", fast)
    book.unfollow("f", fast)
    book.heard("f", "a", b"unheard\n")
    assert fast.qsize() == logbook.BEHIND - 1


def test_functions_that_are_gone_are_forgotten(book: Logbook) -> None:
    book.heard("f", "a", b"one\n")
    book.heard("g", "a", b"one\n")
    book.keep(["g"])
    assert texts(book) == []
    assert texts(book, "g") == [("a", "one")]
