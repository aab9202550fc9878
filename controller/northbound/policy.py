"""Policies that somebody sends: tried, and applied. One at a time."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http import HTTPStatus
from typing import Any

from helsewan.common.document import loads
from helsewan.common.errors import InputError
from helsewan.controller.northbound.cache import Cache
from helsewan.controller.northbound.controller_client import ControllerProtocol
from helsewan.controller.northbound.problems import ProblemDetails, bad_input
from helsewan.controller.northbound.views.models import AppliedOut, DryRunOut, RulesOut
from helsewan.controller.openflow.pipeline import PipelineError
from helsewan.controller.rules.numbering import renumbered
from helsewan.policies.analysis.changes import changes
from helsewan.policies.compile import compile_policy, read_policy
from helsewan.policies.language.timestamps import utc_now
from helsewan.policies.plan import Plan

BODY = "policy"  # what errors call the file that was sent
WAIT_S = 20.0  # for another's policy to be done with


class Policies:
    """Tries and applies policies on the network of ``source``."""

    def __init__(self, source: ControllerProtocol, computed: Cache) -> None:
        self._source, self._computed = source, computed
        self._turn = threading.Lock()

    def dry_run(self, body: bytes) -> DryRunOut:
        """What a policy would change. Raises Trouble with what is wrong with it."""
        with self._alone():
            version, plan = self._source.state()["version"], self._source.plan()
            new = _compiled(body, plan)
            steps = self._computed.generation(plan, version).steps_to(self._next(new, plan, version))
            rules = [
                RulesOut(
                    router=router,
                    added=sum(len(part.add) for part in (step.add, step.turn)),
                    altered=len(step.turn.change),
                    removed=sum(len(part.remove) for part in (step.turn, step.remove)),
                )
                for router, step in steps.items()
            ]
            words = list(changes(plan.source, new.source))
            return DryRunOut(policy=new.policy, against=version, changes=words, routers=rules)

    def apply(self, body: bytes, expects: str, who: Mapping[str, Any]) -> AppliedOut:
        """Changes to a policy in the place of version ``expects``; returns when packets meet it. Raises Trouble with
        the reason where they will not: then nothing has changed."""
        with self._alone():
            version, plan = self._source.state()["version"], self._source.plan()
            if expects not in ("*", version):
                raise _conflict(f"the policy in force is {version} by now")
            try:
                new = _compiled(body, plan)
            except ProblemDetails as trouble:
                self._source.refused(BODY, trouble.detail, who)
                raise
            expected = "" if expects == "*" else expects
            outcome = self._source.apply(new, who, expected, changes(plan.source, new.source))
        if outcome["event"] == "policy-switched":
            fields = {name: outcome[name] for name in ("policy", "changes", "rules", "seconds")}
            return AppliedOut(version=outcome["after"]["version"], **fields)
        if outcome.get("conflict"):
            raise _conflict(outcome["reason"])
        where = [f"router {outcome['router']}", f"rule {outcome['rule']}"] if "router" in outcome else []
        raise ProblemDetails(HTTPStatus.CONFLICT, ": ".join([*where, outcome["reason"]]))

    def _next(self, new: Plan, plan: Plan, version: str) -> Any:
        """The generation after ``plan``'s. Raises Trouble where there can be none."""
        try:
            return self._computed.generation(plan, version).with_plan(renumbered(new, plan))
        except PipelineError as error:
            raise ProblemDetails(HTTPStatus.UNPROCESSABLE_ENTITY, str(error)) from None
        except InputError as error:
            raise bad_input(error.problems) from None

    @contextmanager
    def _alone(self) -> Iterator[None]:
        if not self._turn.acquire(timeout=WAIT_S):
            raise ProblemDetails(
                HTTPStatus.SERVICE_UNAVAILABLE, "another policy is on its way", headers={"retry-after": "5"}
            )
        try:
            yield
        finally:
            self._turn.release()


def _compiled(body: bytes, plan: Plan) -> Plan:
    try:
        return compile_policy(read_policy(loads(body, BODY)), plan.network, now=utc_now())
    except InputError as error:
        raise bad_input(error.problems) from None


def _conflict(reason: str) -> ProblemDetails:
    return ProblemDetails(HTTPStatus.PRECONDITION_FAILED, f"{reason} (hint: read it again, and decide anew)")
