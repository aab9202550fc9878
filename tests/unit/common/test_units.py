"""Quantities: exact, unit mandatory, refusals that say what to write."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helsewan.common import units


@pytest.mark.parametrize(
    ("parse", "text", "value"),
    [
        (units.parse_rate_bps, "2 Mbit/s", 2_000_000),
        (units.parse_rate_bps, "1 Gbit/s", 10**9),
        (units.parse_rate_bps, "2.5 Gbit/s", 2_500_000_000),
        (units.parse_rate_bps, "512kbit/s", 512_000),
        (units.parse_rate_bps, "300 bit/s", 300),
        (units.parse_rate_bps, "1 MB/s", 8_000_000),
        (units.parse_duration_us, "20 ms", 20_000),
        (units.parse_duration_us, " 1.5 s ", 1_500_000),
        (units.parse_duration_us, "400 us", 400),
        (units.parse_duration_us, "400 µs", 400),
        (units.parse_duration_us, "2 min", 120_000_000),
        (units.parse_duration_us, "0 ms", 0),
        (units.parse_size_bytes, "64 kB", 64_000),
        (units.parse_size_bytes, "1 MiB", 1_048_576),
        (units.parse_size_bytes, "1500 B", 1500),
        (units.parse_share, "30 %", 0.3),
        (units.parse_share, "0.1 %", 0.001),
        (units.parse_share, "100%", 1.0),
    ],
)
def test_reads(parse, text, value):
    assert parse(text) == value


@pytest.mark.parametrize(
    ("parse", "text", "message"),
    [
        (units.parse_rate_bps, "2 Mb", "unit 'Mb' is ambiguous (hint: write Mbit/s or MB/s)"),
        (units.parse_rate_bps, "2 Mbps", "unit 'Mbps' is unknown (hint: write Mbit/s)"),
        (units.parse_rate_bps, "2 mbit/s", "unit 'mbit/s' is unknown (hint: write Mbit/s)"),
        (units.parse_rate_bps, "2", "unit is missing (hint: write for example 2 Mbit/s)"),
        (units.parse_rate_bps, 2, "unit is missing (hint: write for example 2 Mbit/s)"),
        (units.parse_rate_bps, "-2 Mbit/s", "a rate cannot be negative (hint: write for example 2 Mbit/s)"),
        (units.parse_rate_bps, "fast", "a rate is a number with a unit (hint: write for example 2 Mbit/s)"),
        (units.parse_rate_bps, True, "a rate is a number with a unit (hint: write for example 2 Mbit/s)"),
        (units.parse_rate_bps, None, "a rate is a number with a unit (hint: write for example 2 Mbit/s)"),
        (
            units.parse_rate_bps,
            "0.0005 kbit/s",
            "0.5 bit/s is not a whole number of bit/s (hint: bit/s is the finest step)",
        ),
        (units.parse_duration_us, "0.3 us", "0.3 us is not a whole number of us (hint: us is the finest step)"),
        (
            units.parse_rate_bps,
            "1000000000000000.000000000000000001 kbit/s",
            "1000000000000000000.000000000000001 bit/s is not a whole number of bit/s (hint: bit/s is the finest step)",
        ),
        (units.parse_duration_us, "3 m", "unit 'm' is ambiguous (hint: write min or ms)"),
        (units.parse_duration_us, "3 days", "unit 'days' is unknown (hint: write one of us, µs, ms, s, min, h)"),
        (units.parse_duration_us, "1e3 s", "unit 'e3 s' is unknown (hint: write one of us, µs, ms, s, min, h)"),
        (units.parse_duration_us, "nan s", "a duration is a number with a unit (hint: write for example 20 ms)"),
        (units.parse_size_bytes, "64 kb", "unit 'kb' is unknown (hint: write kB)"),
        (units.parse_share, "130 %", "a share of 130 % is more than the whole (hint: write 0 % to 100 %)"),
        (units.parse_share, "0.3", "unit is missing (hint: write for example 30 %)"),
    ],
)
def test_refuses(parse, text, message):
    with pytest.raises(ValueError) as refusal:
        parse(text)
    assert str(refusal.value) == message


@pytest.mark.parametrize(
    ("shown", "text"),
    [
        (units.format_rate(2_500_000_000), "2.5 Gbit/s"),
        (units.format_rate(1_977_000), "1.977 Mbit/s"),
        (units.format_rate(1_234_567), "1234.567 kbit/s"),
        (units.format_rate(0), "0 bit/s"),
        (units.format_rate(100_000_000), "100 Mbit/s"),
        (units.format_duration(50), "50 us"),
        (units.format_duration(20_000), "20 ms"),
        (units.format_duration(90_000_000), "90 s"),
        (units.format_duration(-1_500), "-1.5 ms"),
    ],
)
def test_formats(shown, text):
    assert shown == text


@given(st.integers(0, 10**15))
def test_what_is_formatted_reads_back_exactly(value):
    assert units.parse_rate_bps(units.format_rate(value)) == value
    assert units.parse_duration_us(units.format_duration(value)) == value


@given(st.text(max_size=30))
def test_any_text_is_read_or_refused_with_reason_and_hint(text):
    for parse in (units.parse_rate_bps, units.parse_duration_us, units.parse_size_bytes, units.parse_share):
        try:
            assert parse(text) >= 0
        except units.UnitError as error:
            assert error.reason and error.hint
