"""Policies sent by clients: dry run and application, one at a time."""

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

BODY = "policy"  # name of the request's body in errors, in place of a file name
WAIT_S = 20.0  # timeout of waiting for another request


class Policies:
    """Dry runs and changes of the policy of ``controller``."""

    def __init__(self, controller: ControllerProtocol, cache: Cache) -> None:
        self._controller, self._cache = controller, cache
        self._lock = threading.Lock()

    def dry_run(self, body: bytes) -> DryRunOut:
        """What a policy would change. Raises ProblemDetails that list the errors in it."""
        with self._exclusive():
            version, plan = self._controller.state()["version"], self._controller.plan()
            new = _compiled(body, plan)
            steps = self._cache.generation(plan, version).steps_to(self._next(new, plan, version))
            rules = [
                RulesOut(
                    router=router,
                    added=sum(len(part.add) for part in (step.add, step.turn)),
                    altered=len(step.turn.change),
                    removed=sum(len(part.remove) for part in (step.turn, step.remove)),
                )
                for router, step in steps.items()
            ]
            texts = list(changes(plan.source, new.source))
            return DryRunOut(policy=new.policy, against=version, changes=texts, routers=rules)

    def apply(self, body: bytes, expects: str, who: Mapping[str, Any]) -> AppliedOut:
        """Changes to a policy in place of version ``expects`` ("*": any); returns when it is in force. Raises
        ProblemDetails with the reason where it is refused; then nothing has changed."""
        with self._exclusive():
            version, plan = self._controller.state()["version"], self._controller.plan()
            if expects not in ("*", version):
                raise _conflict(f"the policy in force is now {version}")
            try:
                new = _compiled(body, plan)
            except ProblemDetails as problem:
                self._controller.refused(BODY, problem.detail, who)
                raise
            expected = "" if expects == "*" else expects
            outcome = self._controller.apply(new, who, expected, changes(plan.source, new.source))
        if outcome["event"] == "policy-switched":
            fields = {name: outcome[name] for name in ("policy", "changes", "rules", "seconds")}
            return AppliedOut(version=outcome["after"]["version"], **fields)
        if outcome.get("conflict"):
            raise _conflict(outcome["reason"])
        where = [f"router {outcome['router']}", f"rule {outcome['rule']}"] if "router" in outcome else []
        raise ProblemDetails(HTTPStatus.CONFLICT, ": ".join([*where, outcome["reason"]]))

    def _next(self, new: Plan, plan: Plan, version: str) -> Any:
        """The generation of rules for ``new`` after that of ``plan``. Raises ProblemDetails where the rules cannot be
        computed."""
        try:
            return self._cache.generation(plan, version).with_plan(renumbered(new, plan))
        except PipelineError as error:
            raise ProblemDetails(HTTPStatus.UNPROCESSABLE_ENTITY, str(error)) from None
        except InputError as error:
            raise bad_input(error.problems) from None

    @contextmanager
    def _exclusive(self) -> Iterator[None]:
        if not self._lock.acquire(timeout=WAIT_S):
            raise ProblemDetails(
                HTTPStatus.SERVICE_UNAVAILABLE, "another policy is being applied", headers={"retry-after": "5"}
            )
        try:
            yield
        finally:
            self._lock.release()


def _compiled(body: bytes, plan: Plan) -> Plan:
    try:
        return compile_policy(read_policy(loads(body, BODY)), plan.network, now=utc_now())
    except InputError as error:
        raise bad_input(error.problems) from None


def _conflict(reason: str) -> ProblemDetails:
    return ProblemDetails(HTTPStatus.PRECONDITION_FAILED, f"{reason} (hint: read it again before you change it)")
