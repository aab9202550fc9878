"""Plans the programs of a scenario: fills in addresses of sites and paths of files. Pure but for looking for files."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping

from helsewan.common.document import Document
from helsewan.common.errors import InputError, Problem
from helsewan.common.schema_errors import nearest
from helsewan.common.units import format_duration
from helsewan.lab.programs.records import SiteProgram
from helsewan.scenarios.spec.schema import ScenarioSpec
from helsewan.scenarios.spec.spec import Scenario
from helsewan.scenarios.spec.traffic.programs import ProgramSpec
from helsewan.topology.model import Network, Site

FIELDS: Mapping[str, Callable[[Site], object]] = {
    "address": lambda site: site.address4,
    "address4": lambda site: site.address4,
    "address6": lambda site: site.address6,
    "gateway": lambda site: site.gateway4,
    "prefix4": lambda site: site.prefix4,
    "prefix6": lambda site: site.prefix6,
}
_VARIABLE = re.compile(r"\$\{site:(?P<site>[^}]*?)\.(?P<field>\w+)\}|\$\{site:[^}]*\}")


def plan_program(
    entry: str, traffic: ProgramSpec, spec: ScenarioSpec, network: Network, document: Document
) -> SiteProgram:
    """The program of an entry. Raises ``InputError`` for sites and files that do not exist, and for times outside the
    run."""
    problems = list(_problems(entry, traffic, spec, network, document))
    if problems:
        raise InputError(*problems)
    words = (_filled(word, network) for word in traffic.run)
    argv = tuple(
        _file_or_word(word, document, ("traffic", entry, "run", number)) if number else word
        for number, word in enumerate(words)
    )
    return SiteProgram(entry, traffic.site, argv, traffic.at, traffic.timeout)


def _problems(
    entry: str, traffic: ProgramSpec, spec: ScenarioSpec, network: Network, document: Document
) -> Iterator[Problem]:
    if traffic.site not in network.site:
        where = document.where(("traffic", entry, "site"))
        yield Problem(where, traffic.site, "is no site of this network", nearest(traffic.site, network.site))
    if traffic.at >= spec.duration:
        where, ends = document.where(("traffic", entry, "at")), f"the run ends at {format_duration(spec.duration)}"
        yield Problem(where, format_duration(traffic.at), "is not within the run", ends)
    for number, word in enumerate(traffic.run):
        where = document.where(("traffic", entry, "run", number))
        for match in _VARIABLE.finditer(word):
            site, field = match["site"], match["field"]
            if site is None:
                reason, hint = "names no value of a site", "write for example ${site:hospital-aker.address}"
            elif site not in network.site:
                reason, hint = "names no site of this network", nearest(site, network.site)
            elif field not in FIELDS:
                reason, hint = "names no value that a site has", nearest(field, FIELDS)
            else:
                continue
            yield Problem(where, match[0], reason, hint)


def _filled(word: str, network: Network) -> str:
    return _VARIABLE.sub(lambda match: str(FIELDS[match["field"]](network.site[match["site"]])), word)


def _file_or_word(word: str, document: Document, at: tuple[str | int, ...]) -> str:
    """The absolute path of the file beside the scenario's that ``word`` names; else ``word``."""
    path = document.folder(at) / word
    try:
        return str(path.resolve()) if path.is_file() else word
    except (OSError, ValueError):  # a text that can be no path
        return word


def programs_missing(scenario: Scenario, programs: Iterable[SiteProgram]) -> Iterator[Problem]:
    """A problem for each program that is not installed on this machine."""
    for program in programs:
        if shutil.which(program.argv[0]) is None:
            where = scenario.document.where(("traffic", program.name, "run"))
            yield Problem(where, program.argv[0], "is not installed on this machine", "install it, or name its path")
