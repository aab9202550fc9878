"""``helsewan verify``: does what switches hold do what the policy says?"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from helsewan.cli.options import Json, Name
from helsewan.cli.rules import From, Policy, Seed, Sites
from helsewan.common.errors import InputError, Problem

if TYPE_CHECKING:
    from helsewan.lab.proofs.rule_query import RuleQuery
    from helsewan.verification.findings import VerificationReport

_A_DIRECTORY = "A directory for a packet of each violation."


def verify(
    static: Annotated[bool, typer.Option("--static", help="By the rules alone, as without --live and --all.")] = False,
    live: Annotated[bool, typer.Option("--live", help="By questions played on the running network.")] = False,
    both: Annotated[bool, typer.Option("--all", help="Both ways.")] = False,
    failures: Annotated[str, typer.Option("--failures", help="What may fail: none, single or srlg.")] = "none",
    name: Name = None,
    policy: Policy = None,
    sites: Sites = None,
    seed: Seed = None,
    from_: From = None,
    rules: Annotated[Path | None, typer.Option("--rules", help="A dump of rules in place of a network's.")] = None,
    as_json: Json = False,
    junit: Annotated[Path | None, typer.Option("--junit", help="A file for JUnit's XML.")] = None,
    witness: Annotated[Path | None, typer.Option("--witness", help=_A_DIRECTORY)] = None,
    flaws: Annotated[bool, typer.Option("--flaws", help="List what is wrong and breaks no policy.")] = False,
    questions: Annotated[int | None, typer.Option("--questions", help="At most so many are played.", min=1)] = None,
    lot: Annotated[int | None, typer.Option("--lot", help="Seed of the questions that are played.", min=0)] = None,
    replay: Annotated[Path | None, typer.Option("--replay", help="Send this witness's packet, and no more.")] = None,
) -> None:
    """Prove that rules do to every packet what the policy says, or show a packet to which they do not: of a running
    network, of a policy (--policy, --sites ...), or of a dump (--rules). Exit code 1 when a policy is broken."""
    from helsewan.lab.proofs.rule_query import RuleQuery
    from helsewan.lab.proofs.verification import Method, verified

    wanted = RuleQuery(name, policy, sites, seed, from_, rules)
    if replay is not None:
        raise typer.Exit(_replayed(replay, wanted))
    if static + live + both > 1:
        raise InputError(Problem("--static, --live, --all", None, "say different things", "--all is both"))
    unused: dict[str, object] = {"--questions": questions, "--lot": lot} if not (live or both) else {}
    if live and failures != "none":
        unused["--failures"] = failures
    for option, value in unused.items():
        if value is not None:
            hint = "leave it out, or verify both ways with --all"
            raise InputError(Problem(option, value, "says nothing here", hint))
    _check_files(junit, witness)
    found = verified(wanted, Method(not live, live or both, failures, questions, 1 if lot is None else lot))
    if as_json:
        from helsewan.verification.reports.results import as_json as plain

        print(json.dumps(plain(found.report, found.taken, found.live), indent=2, ensure_ascii=False))
    else:
        from helsewan.cli.tables.verification import print_report

        print_report(found, flaws)
    _write_files(found.report, junit, witness)
    raise typer.Exit(found.exit_code)


def _check_files(junit: Path | None, witness: Path | None) -> None:
    """Before anything is looked at: a result that could not be written would come to nothing."""
    if junit is not None:
        from helsewan.common.files import check_writable

        check_writable("--junit", junit)
    if witness is not None:
        from helsewan.lab.proofs.witness_files import make_room

        make_room(witness)


def _write_files(report: VerificationReport, junit: Path | None, witness: Path | None) -> None:
    if junit is not None:
        from helsewan.common.files import write_file
        from helsewan.verification.reports.results import as_junit

        write_file("--junit", junit, as_junit(report))
    if witness is not None:
        from helsewan.lab.proofs.witness_files import write_witnesses

        write_witnesses(witness, report.violations)


def _replayed(path: Path, wanted: RuleQuery) -> int:
    """Send a witness's packet; the exit code."""
    from helsewan.lab.proofs.replay import print_replay, read_witness, replay

    if not wanted.is_live:
        raise InputError(Problem("--replay", str(path), "needs a running network", "start one with `helsewan up`"))
    replayed = replay(read_witness(path), wanted.name)
    print_replay(replayed)
    return 1 if replayed.is_as_told else 0
