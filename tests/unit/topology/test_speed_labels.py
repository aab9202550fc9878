"""Speeds in labels of published maps: each is read right, or what is assumed is said; never silently wrong."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helsewan.topology.importers.speeds import read_speed
from helsewan.topology.model import MOST_BPS

K, M, G, T = 10**3, 10**6, 10**9, 10**12
OC, STM = 51_840_000, 155_520_000

# Labels without the name of a map are of the Internet Topology Zoo's maps (topology-zoo.org), as published.
EXACT = {
    "10 Gbps": 10 * G, "1 Gbit/s": G, "2.5 Gb/s": 2_500 * M, "10Gb/s": 10 * G, "1gb/s": G, "155M": 155 * M,
    "2.5 G": 2_500 * M, "2.5G": 2_500 * M, "0.02M": 20 * K, "0.5 M": 500 * K, "20mb/s": 20 * M, "40Mpbs": 40 * M,
    "64 Kbit/s": 64 * K, "128 Kbps": 128 * K, "9600 bit/s": 9_600, "45M": 45 * M, "12G": 12 * G, "1000 Mbps": G,
    "2 Mb/s SHDSL": 2 * M, "34 Mbps PDH": 34 * M, "155 Mbps radio": 155 * M, "10 Gbps SDH": 10 * G,
    "10 GE": 10 * G, "10GE": 10 * G, "1GE Backup Link": G, "10G Ethernet": 10 * G, "1Gb/s Ethernet": G,
    "10GEx4": 40 * G, "10GEx12": 120 * G, "10Gex12": 120 * G, "10GEx24": 240 * G, "8*GbE": 8 * G,
    "STM-64x2": 128 * STM, "STM-64x4": 256 * STM, "STM-4x2": 8 * STM, "2x10Gb/s": 20 * G, "10*10Gb/s": 100 * G,
    "4x155Mbps": 620 * M, "3 x 622Mbps": 1_866 * M, "4*2 Mbps PDH": 8 * M, "2 x E3 (68Mbps)": 2 * 34_368_000,
    "4x1 Gbps + 2x STM-1": 4 * G + 2 * STM, "4 x 10 Gbps": 40 * G, "155 Mbps OC-3": 155 * M, "45 Mbps DS-3": 45 * M,
    "OC12/STM4": 12 * OC, "OC192/STM64": 192 * OC, "OC48/STM16": 48 * OC, "OC-192c": 192 * OC, "POS OC-48": 48 * OC,
    "OC-192 (Future)": 192 * OC, "IPLC STM-1": STM, "STM-16": 16 * STM, "STM-0": OC, "2 x STM-16": 32 * STM,
    "E1": 2_048_000, "E3": 34_368_000, "T1": 1_544_000, "T-3": 44_736_000, "DS-3": 44_736_000, "DS0": 64 * K,
    "internetMCI T3": 44_736_000, "ANS CO+RE T1": 1_544_000, "GigE": G, "GE": G, "Gigabit Ethernet": G,
    "Fast Ethernet": 100 * M, "FE": 100 * M, "10 Gigabit Ethernet": 10 * G, "Ten Gigabit Ethernet": 10 * G,
    "10-Gigabit": 10 * G, "10 Gig": 10 * G, "100GbE": 100 * G, "100BASE-TX": 100 * M, "10GBASE-LR": 10 * G,
    "2 gigabits per second": 2 * G, "155 megabit/s": 155 * M, "64 kilobits per second": 64 * K, "10 GBPS": 10 * G,
    "34 Mbits/sec": 34 * M, "2,5 Gbps": 2_500 * M, "2,488.32 Mbps": 2_488_320 * K, "10'000 Mbit/s": 10 * G,
    "1,000,000 kbps": G, "1.544 Mbps": 1_544 * K, "2.048 Mbit/s": 2_048 * K, "dark fibre 1 Gb/s": G,
    "Dark Fiber (1Gbps)": G, "Lit Fibre (10 Gbps)": 10 * G, "Fibre ottica spenta (Dark Fibre), 2.5 Gbps": 2_500 * M,
    "KreoNet2  10Gbit/s": 10 * G, "I2  10Gbit/s": 10 * G, "SMfiber/1Gbps (dashed)": G, "Peering, 13 Gbps": 13 * G,
    "2 Mbit/s (Gamtel Backbone)": 2 * M, "LES/EES/WSES 100 Mbps": 100 * M, "802.3ae 10G": 10 * G,
    "40 lambdas x 10 Gbps": 400 * G, "40x10G DWDM": 400 * G, "dual 10G": 20 * G, "STM-16 (2x)": 32 * STM,
    "2 x 4 x 10G": 80 * G, "10G 100GHz DWDM": 10 * G, "xe-0/0/1 10G": 10 * G, "OTU2": 10_709_225_316,
    "34 E3": 34_368_000, "10 Gbps 2011": 10 * G,
}  # fmt: skip

ASSUMED = {
    "300M-1Gb/s": (300 * M, "lowest"), "1-10Gbps": (G, "lowest"), "1-4.999Gbps": (G, "lowest"),
    "10-34 Mb/s": (10 * M, "lowest"), "155-599Mbps": (155 * M, "lowest"), "Dark Fiber (1-10Gbps)": (G, "lowest"),
    "1 to 10 Gbps": (G, "lowest"), "300-1Gb/s": (G, "lowest"), "155Mbs/1Gbps": (155 * M, "lowest"),
    "34/45 Mbit/s": (34 * M, "lowest"), "45/155 Mbps": (45 * M, "lowest"), "GigE/FE/ATM": (100 * M, "lowest"),
    "E1/T3": (2_048_000, "lowest"), "1/10GE": (G, "lowest"), "10/100 Mbps": (10 * M, "lowest"),
    "Managed Fiber (10Gbps, 100Mbps)": (100 * M, "lowest"), "10G, 2.5G": (2_500 * M, "lowest"),
    "2.5 Gbps (upgrade to 10 Gbps)": (2_500 * M, "lowest"), "from 155 Mbps to 622 Mbps": (155 * M, "lowest"),
    "< 2.5 Gbps": (2_500 * M, "bound"), "<45Mb": (45 * M, "bound"), "<= 10 Mbps backup": (10 * M, "bound"),
    ">10Gbps": (10 * G, "bound"), "less than 100 Mbps": (100 * M, "bound"), "100 Mbps and more": (100 * M, "bound"),
    "OC3 and below/STM1": (STM, "bound"), "up to 4 x 10G": (40 * G, "bound"), "10G+": (10 * G, "bound"),
    "1 GB/s": (G, "as bits"), "24 MB/s": (24 * M, "as bits"), "ZAMREN FIBRE (100 MB)": (100 * M, "as bits"),
    "1 gigabyte/s": (8 * G, "8 bits"), "CANARIE N*10Gbit/s": (10 * G, "how many"),
    "n x 64 kbit/s": (64 * K, "how many"),
    "1,000 Mbps": (G, "read as 1000"), "10.000 Mbit/s": (10 * G, "read as 10000"),
    "10 000 Mbps": (10 * G, "read as 10000"),
    "4 STM-1": (4 * STM, "number"), "2 OC-48": (96 * OC, "number"), "10 E1": (20_480_000, "number"),
    "10 FE": (G, "number"), "2 fibres 10G": (10 * G, "not read"), "1 lambda 10G": (10 * G, "not read"),
    "3G": (3 * G, "read as 3 Gbit/s"), "155m": (155 * M, "read as Mbit/s"), "ATM 155": (155 * M, "read as Mbit/s"),
    "100 Ethernet": (100 * M, "read as Mbit/s"), "9600 baud": (9_600, "bauds"), "10G and 2.5G": (12_500 * M, "added"),
    "half T1": (1_544_000, "bound"), "10 Gbps" + " and so on" * 30: (10 * G, "end"),
}  # fmt: skip

NONE = [
    "", "Blue", "DWDM", "Dark fibre", "dark fibre", "Lambda", "2 lambdas", "72 Lambda ROADM Network", "Ethernet",
    "Circuito Ethernet", "1Q 2003", "Completion 2007-2008", "SeaMeWe-3", "TAT-14", "Adria-1", "3 km", "10 meters",
    "10 m", "0 Mbps", "1e3", "99999999 Tbps", "1 gateway", "2011", "802.11g", "802.3ae", "GE-0/0/1", "xe-1/2/0",
    "International connectivity to GEANT2", "STM-642", "OC-7", "3G backup router", "100 GHz", "Back-up link via KCN2",
    "FLAG Europe-Asia", "ATM", "SDH", "Serial", "10", "1,2,3 Gbps", "MPLS", "WANPHY", "1550 nm",
]  # fmt: skip


def test_the_table_is_large() -> None:
    assert len(EXACT) + len(ASSUMED) >= 120 and len(NONE) >= 30


@pytest.mark.parametrize("label", EXACT)
def test_a_label_that_is_certain(label: str) -> None:
    speed = read_speed(label)
    assert (speed.bps, speed.assumed) == (EXACT[label], "")


@pytest.mark.parametrize("label", ASSUMED)
def test_a_label_that_is_not_certain_says_what_is_assumed(label: str) -> None:
    speed = read_speed(label)
    bps, said = ASSUMED[label]
    assert speed.bps == bps and said in speed.assumed


@pytest.mark.parametrize("label", NONE)
def test_a_label_without_a_speed(label: str) -> None:
    assert read_speed(label).bps is None


UNITS = {"{}bit/s": 1, "{}bps": 1, "{}b/s": 1, "{}bits/sec": 1, "{}bit": 1, "{}b": 1}
DECORATIONS = ["{}", "Peering, {}", "{} SDH", "({})", "GEANT2 {}", "{} via TAT-14", "dark fibre: {}", "{} (planned)"]


@given(
    tenths=st.integers(1, 9_999), prefix=st.sampled_from(["k", "K", "M", "G"]), unit=st.sampled_from(list(UNITS)),
    space=st.sampled_from(["", " "]), before=st.integers(1, 40), after=st.integers(1, 40),
    around=st.sampled_from(DECORATIONS), point=st.sampled_from([".", ","]),
)  # fmt: skip
def test_any_amount_with_multipliers_before_and_after(
    tenths: int, prefix: str, unit: str, space: str, before: int, after: int, around: str, point: str
) -> None:
    amount = f"{tenths // 10}{point}{tenths % 10}" if tenths % 10 else str(tenths // 10)
    text = f"{amount}{space}{unit.format(prefix)}"
    text = (f"{before} x " if before > 1 else "") + text + (f" x{after}" if after > 1 else "")
    expected = Decimal(tenths) / 10 * {"k": K, "m": M, "g": G}[prefix.lower()] * before * after
    speed = read_speed(around.format(text))
    assert speed == read_speed(text)
    assert (speed.bps, speed.assumed) == ((int(expected), "") if 1 <= expected <= MOST_BPS else (None, ""))


PIECES = ["10", "2", "155", "1,000", "x", "*", "-", "/", "+", "to", "Gbps", "M", "Gb/s", "STM-16", "OC-3", "E1", "GigE",
          "(", ")", "<", "and", "Blue", "lambda", "2011", "km", "n", "ten", "dual", "."]  # fmt: skip


@given(pieces=st.lists(st.sampled_from(PIECES), max_size=9), glue=st.sampled_from(["", " "]))
def test_any_label_is_read_with_a_bounded_remark(pieces: list[str], glue: str) -> None:
    speed = read_speed(glue.join(pieces))
    assert speed.bps is None or 1 <= speed.bps <= MOST_BPS
    assert len(speed.assumed) < 400


@given(st.text(max_size=300))
def test_any_text_has_a_speed_or_none(text: str) -> None:
    speed = read_speed(text)
    assert speed.bps is None or 1 <= speed.bps <= MOST_BPS
