"""Rules are proved for another time than now: exceptions that begin later, and those that have ended by then."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from helsewan.common.errors import InputError
from helsewan.lab.proofs.rule_query import RuleQuery
from helsewan.lab.proofs.verification import Method, verified
from helsewan.policies.plan import ExceptionState
from helsewan.verification.dump.dump import read, write

NETWORK = Path(__file__).parents[2] / "samples" / "topologies" / "three-towns.yaml"
POLICY = """\
include: open
name: mine
contracts:
  everything: {services: [ping]}
exceptions:
  move:
    from: {kind: [hospital]}
    to: {kind: [hospital, gp, pharmacy, municipality, service, datacentre]}
    services: [tcp]
    reason: the archive moves
    begins: 2100-01-10
    until: 2100-01-20
"""
BEFORE, DURING, AFTER = (datetime(2100, 1, day, 12, tzinfo=UTC) for day in (9, 15, 21))


@pytest.fixture
def policy(tmp_path: Path) -> str:
    """The policy's path."""
    (tmp_path / "mine.yaml").write_text(POLICY)
    return str(tmp_path / "mine.yaml")


def test_rules_of_a_later_time_are_proved_with_its_exceptions(policy: str) -> None:
    found = {}
    for at in (None, BEFORE, DURING, AFTER):
        query = RuleQuery(policy=policy, source=NETWORK, at=at)
        assert verified(query, Method()).report.violations == ()
        dump, plan = query.read()
        assert read(b"".join(write(dump)), "d").plan.digest == plan.digest
        found[at] = {contract.service for contract in plan.contracts}, plan.exceptions[0].state
    assert found == {
        None: ({"ping"}, ExceptionState.NOT_BEGUN),
        BEFORE: ({"ping"}, ExceptionState.NOT_BEGUN),
        DURING: ({"ping", "tcp"}, ExceptionState.IN_FORCE),
        AFTER: ({"ping"}, ExceptionState.ENDED),
    }


def test_a_dump_of_now_does_not_do_what_holds_later(policy: str, tmp_path: Path) -> None:
    now = RuleQuery(policy=policy, source=NETWORK)
    (tmp_path / "rules").write_bytes(b"".join(write(now.read()[0])))
    assert verified(RuleQuery(dump=tmp_path / "rules"), Method()).report.violations == ()
    assert verified(RuleQuery(dump=tmp_path / "rules", at=AFTER), Method()).report.violations == ()
    assert verified(RuleQuery(dump=tmp_path / "rules", at=DURING), Method()).report.violations


def test_a_running_network_has_the_rules_of_now() -> None:
    with pytest.raises(InputError, match=r"--at: .* is not now, and switches have the rules of now"):
        RuleQuery(name="lab", at=DURING)
