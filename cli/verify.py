"""``helsewan verify``: whether the rules of switches enforce the policy."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from helsewan.cli.options import At, From, Json, Name, PolicyOverride, RulesFile, SeedOverride, SitesOverride, moment
from helsewan.common.errors import InputError, Problem
from helsewan.common.exit_codes import ExitCode

if TYPE_CHECKING:
    from helsewan.lab.proofs.rule_query import RuleQuery
    from helsewan.verification.findings import VerificationReport

_WITNESS = "A directory for a witness packet of each violation."
_DEAD_RULES = "List dead rules and other findings that violate no policy."
_PROBES = "Send at most this many probe packets besides the controls."


def verify(
    static: Annotated[bool, typer.Option("--static", help="Verify the rules alone; the default.")] = False,
    live: Annotated[bool, typer.Option("--live", help="Send probe packets on the running network.")] = False,
    both: Annotated[bool, typer.Option("--all", help="Do both, and compare the results.")] = False,
    failures: Annotated[str, typer.Option("--failures", help="What may fail: none, single or srlg.")] = "none",
    name: Name = None,
    policy: PolicyOverride = None,
    sites: SitesOverride = None,
    seed: SeedOverride = None,
    from_: From = None,
    rules: RulesFile = None,
    at: At = None,
    as_json: Json = False,
    junit: Annotated[Path | None, typer.Option("--junit", help="A file for the report as JUnit XML.")] = None,
    witness: Annotated[Path | None, typer.Option("--witness", help=_WITNESS)] = None,
    dead_rules: Annotated[bool, typer.Option("--dead-rules", "--flaws", help=_DEAD_RULES)] = False,
    probes: Annotated[int | None, typer.Option("--probes", "--questions", help=_PROBES, min=1)] = None,
    probe_seed: Annotated[
        int | None, typer.Option("--probe-seed", "--lot", help="Seed by which probe packets are sampled.", min=0)
    ] = None,
    replay: Annotated[Path | None, typer.Option("--replay", help="Only send this witness's packet.")] = None,
) -> None:
    """Prove that rules treat every packet as the policy requires. Or show packets that they treat otherwise. The rules
    are those of a running network, of a policy (--policy, --sites ...), or of a dump (--rules). Exit code 1 when the
    policy is violated."""
    from helsewan.lab.proofs.rule_query import RuleQuery
    from helsewan.lab.proofs.verification import Method, verified
    from helsewan.verification.cudd import load_cudd

    query = RuleQuery(name, policy, sites, seed, from_, rules, moment(at))
    if replay is not None:
        raise typer.Exit(_replayed(replay, query))
    if static + live + both > 1:
        raise InputError(Problem("--static, --live, --all", None, "exclude each other", "--all does both"))
    unused: dict[str, object] = {"--probes": probes, "--probe-seed": probe_seed} if not (live or both) else {}
    if live and failures != "none":
        unused["--failures"] = failures
    for option, value in unused.items():
        if value is not None:
            hint = "leave it out, or do both with --all"
            raise InputError(Problem(option, value, "has no effect here", hint))
    load_cudd()  # before anything is read or created
    _check_files(junit, witness)
    found = verified(query, Method(not live, live or both, failures, probes, 1 if probe_seed is None else probe_seed))
    if as_json:
        from helsewan.verification.reports.results import as_json as plain

        print(json.dumps(plain(found.report, found.taken, found.live), indent=2, ensure_ascii=False))
    else:
        from helsewan.cli.tables.verification import print_report

        print_report(found, dead_rules)
    _write_files(found.report, junit, witness)
    raise typer.Exit(found.exit_code)


def _check_files(junit: Path | None, witness: Path | None) -> None:
    """Raise InputError for output that could not be written, before the verification, which takes long."""
    if junit is not None:
        from helsewan.common.files import check_writable

        check_writable("--junit", junit)
    if witness is not None:
        from helsewan.lab.proofs.witness_files import check_directory

        check_directory(witness)


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
