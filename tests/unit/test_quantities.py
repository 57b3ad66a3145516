from __future__ import annotations

import pytest

from edge_agent.domain.quantities import format_size, parse_cpu, parse_size


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("64Mi", 64 << 20), ("64MiB", 64 << 20), ("1GiB", 1 << 30), ("20MB", 20_000_000), ("20M", 20_000_000),
        ("512", 512), (512, 512), ("1.5Gi", 3 << 29), ("1 GiB", 1 << 30), ("0", 0),
    ],
)  # fmt: skip
def test_sizes_are_read_in_both_spellings(text: str | int, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["64m", "", "Mi", "-1", "1e3", "64Xi", "1,5Gi", -5, True, None, 1.5])
def test_what_is_no_size_is_refused(text: object) -> None:
    with pytest.raises(ValueError, match=r"is no size|is negative"):
        parse_size(text)  # type: ignore[arg-type]


@pytest.mark.parametrize(("text", "cores"), [("250m", 0.25), ("1", 1.0), ("0.5", 0.5), (2, 2.0), (0.1, 0.1)])
def test_shares_of_a_cpu_are_read(text: str | float, cores: float) -> None:
    assert parse_cpu(text) == cores


@pytest.mark.parametrize("text", ["0", "0m", "-1", "m", "250 m", "half", 0, True, None])
def test_what_is_no_share_of_a_cpu_is_refused(text: object) -> None:
    with pytest.raises(ValueError, match="is no share of a CPU"):
        parse_cpu(text)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("size", "text"), [(0, "0 B"), (12, "12 B"), (1 << 20, "1 MiB"), (3 << 29, "1.5 GiB"), (5 << 40, "5.0 TiB")]
)
def test_sizes_are_told_in_the_shortest_form(size: int, text: str) -> None:
    assert format_size(size) == text
