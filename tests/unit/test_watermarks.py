"""What an `ack` promises, and what counts as seen."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from edge_agent.domain.reading import Sample
from edge_agent.engine.watermarks import BOOTS_KEPT, GAP_KEPT, Watermarks


def sample(seq: int, oldest: int = 0, device: str = "tank-1", boot: str = "b1") -> Sample:
    return Sample(device, boot, seq, 0, 0, {"level": 1.0}, oldest=oldest)


def test_samples_in_order_are_new_once_and_promised_as_they_come() -> None:
    marks = Watermarks()
    assert [marks.admit(sample(seq)) for seq in (1, 2, 3)] == [True, True, True]
    assert marks.low("tank-1", "b1") == 3
    assert [marks.admit(sample(seq)) for seq in (1, 2, 3)] == [False, False, False]
    assert marks.duplicates == 3


def test_nothing_above_a_gap_is_promised_until_the_gap_is_closed() -> None:
    marks = Watermarks()
    for seq in (1, 2, 5, 6):
        assert marks.admit(sample(seq))
    assert marks.low("tank-1", "b1") == 2, "a broker that was killed may have forgotten 3 and 4"
    assert marks.admit(sample(4))
    assert marks.low("tank-1", "b1") == 2
    assert marks.admit(sample(3))
    assert marks.low("tank-1", "b1") == 6


def test_a_boot_first_heard_in_its_middle_is_promised_nothing_until_the_board_says_what_it_still_holds() -> None:
    marks = Watermarks()
    assert marks.admit(sample(42))
    assert marks.low("tank-1", "b1") == 0
    assert marks.admit(sample(43, oldest=42))
    assert marks.low("tank-1", "b1") == 43
    assert marks.lost == 41


def test_a_board_that_overflowed_closes_its_own_gap_and_the_loss_is_counted() -> None:
    marks = Watermarks()
    for seq in (1, 2, 10):
        marks.admit(sample(seq))
    assert not marks.admit(sample(10, oldest=8))
    assert marks.low("tank-1", "b1") == 7
    assert marks.admit(sample(8))
    assert marks.admit(sample(9))
    assert marks.low("tank-1", "b1") == 10
    assert marks.lost == 5, "3 to 7; 8 and 9 may still come"


def test_a_gap_never_takes_more_memory_than_its_bound() -> None:
    marks = Watermarks()
    marks.admit(sample(1))
    assert marks.admit(sample(10_000_000))
    assert len(marks.marks["tank-1", "b1"].missing) <= GAP_KEPT
    assert marks.lost > 9_000_000


def test_only_the_newest_boots_of_a_board_are_remembered() -> None:
    marks = Watermarks()
    for number in range(BOOTS_KEPT + 1):
        marks.admit(sample(1, boot=f"b{number}"))
    assert marks.low("tank-1", "b0") == 0
    assert marks.low("tank-1", f"b{BOOTS_KEPT}") == 1


def test_what_was_dumped_is_known_after_a_restart() -> None:
    before, after = Watermarks(), Watermarks()
    for seq in (1, 2, 5):
        before.admit(sample(seq))
    after.load(before.dump([("tank-1", "b1")]))
    assert not after.admit(sample(5))
    assert after.admit(sample(3))
    assert after.low("tank-1", "b1") == 3


@given(st.lists(st.integers(1, 60), max_size=120))
def test_admission_and_promise_agree_with_a_plain_set(order: list[int]) -> None:
    marks, seen = Watermarks(), set[int]()
    for seq in order:
        assert marks.admit(sample(seq)) == (seq not in seen)
        seen.add(seq)
        promised = marks.low("tank-1", "b1")
        assert set(range(1, promised + 1)) <= seen
        assert promised + 1 not in seen
