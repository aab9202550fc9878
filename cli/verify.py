"""``helsewan verify``: do the rules of switches do what the policy says?"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from helsewan.cli.options import From, Json, Name, PolicyOverride, RulesFile, SeedOverride, SitesOverride
from helsewan.common.errors import InputError, Problem
from helsewan.common.exit_codes import ExitCode

if TYPE_CHECKING:
    from helsewan.lab.proofs.rule_query import RuleQuery
    from helsewan.verification.findings import VerificationReport

_WITNESS = "A directory for a packet of each violation."


def verify(
    static: Annotated[bool, typer.Option("--static", help="By the rules alone; the default.")] = False,
    live: Annotated[bool, typer.Option("--live", help="By probe packets sent on the running network.")] = False,
    both: Annotated[bool, typer.Option("--all", help="Both.")] = False,
    failures: Annotated[str, typer.Option("--failures", help="What may fail: none, single or srlg.")] = "none",
    name: Name = None,
    policy: PolicyOverride = None,
    sites: SitesOverride = None,
    seed: SeedOverride = None,
    from_: From = None,
    rules: RulesFile = None,
    as_json: Json = False,
    junit: Annotated[Path | None, typer.Option("--junit", help="A file for JUnit's XML.")] = None,
    witness: Annotated[Path | None, typer.Option("--witness", help=_WITNESS)] = None,
    flaws: Annotated[bool, typer.Option("--flaws", help="List dead rules and others that break no policy.")] = False,
    questions: Annotated[int | None, typer.Option("--questions", help="Send at most this many.", min=1)] = None,
    lot: Annotated[int | None, typer.Option("--lot", help="Seed of the choice of probe packets.", min=0)] = None,
    replay: Annotated[Path | None, typer.Option("--replay", help="Send this witness's packet only.")] = None,
) -> None:
    """Prove that rules treat every packet as the policy says. Or show packets that they do not. The rules are those of
    a running network, of a policy (--policy, --sites ...), or of a dump (--rules). Exit code 1 when a policy is
    violated."""
    from helsewan.lab.proofs.rule_query import RuleQuery
    from helsewan.lab.proofs.verification import Method, verified

    query = RuleQuery(name, policy, sites, seed, from_, rules)
    if replay is not None:
        raise typer.Exit(_replayed(replay, query))
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
    found = verified(query, Method(not live, live or both, failures, questions, 1 if lot is None else lot))
    if as_json:
        from helsewan.verification.reports.results import as_json as plain

        print(json.dumps(plain(found.report, found.taken, found.live), indent=2, ensure_ascii=False))
    else:
        from helsewan.cli.tables.verification import print_report

        print_report(found, flaws)
    _write_files(found.report, junit, witness)
    raise typer.Exit(found.exit_code)


def _check_files(junit: Path | None, witness: Path | None) -> None:
    """Raise InputError for output that could not be written, before the verification, which takes long."""
    if junit is not None:
        from helsewan.common.files import check_writable

        check_writable("--junit", junit)
    if witness is not None:
        from helsewan.lab.proofs.witness_files import make_directory

        make_directory(witness)


def _write_files(report: VerificationReport, junit: Path | None, witness: Path | None) -> None:
    if junit is not None:
        from helsewan.common.files import write_file
        from helsewan.verification.reports.results import as_junit

        write_file("--junit", junit, as_junit(report))
    if witness is not None:
        from helsewan.lab.proofs.witness_files import write_witnesses

        write_witnesses(witness, report.violations)


def _replayed(path: Path, query: RuleQuery) -> int:
    """Send a witness's packet; returns the exit code: 1 where it still violates the policy."""
    from helsewan.lab.proofs.replay import print_replay, read_witness, replay

    if not query.is_live:
        raise InputError(Problem("--replay", str(path), "needs a running network", "start one with `helsewan up`"))
    replayed = replay(read_witness(path), query.name)
    print_replay(replayed)
    return ExitCode.FAIL if replayed.matches else ExitCode.PASS
