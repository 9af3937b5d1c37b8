"""How the service is: for those who run it, and for those who wonder."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Final, Literal, Self

from fastapi import APIRouter, Response
from pydantic import BaseModel, Field

from breachcheck.config import Role
from breachcheck.notices import incidents, plan
from breachcheck.service.notices import STATUS
from breachcheck.service.problems import documented
from breachcheck.service.state import State

MAINTENANCE: Final = "maintenance"  # the reason why the service is not ready in a window


class Alive(BaseModel):
    """The process answers."""

    alive: Literal[True] = True


class Ready(BaseModel):
    """Whether a check can be made here now."""

    ready: bool
    role: Role
    checked: list[str] = Field(description="What was looked at", examples=[["release_validity", "pages"]])
    reasons: list[str] = Field(description="Why not; empty when ready", examples=[["release_expired"]])
    self_check: str | None = Field(
        description="Why the service's own check fails: a reason of PROTOCOL.md §9.4, `canary_missing` or "
        "`canary_found`; null when it passes or none is made",
        examples=[None, "evaluation_proof"],
    )


class Window(BaseModel):
    """A time of maintenance, in which nothing can be checked."""

    id: str
    begins: datetime
    ends: datetime = Field(description="The first moment after it")
    message: Mapping[str, str] = Field(description="Why, by language")
    cancelled: datetime | None

    @classmethod
    def of(cls, window: plan.Window) -> Self:
        """Return the published form of a plan's window."""
        return cls(
            id=window.name,
            begins=window.begins,
            ends=window.ends,
            message=window.message,
            cancelled=window.cancelled,
        )


class Incident(BaseModel):
    """A trouble that nobody planned."""

    name: str = Field(examples=["release_expired"])
    began: datetime
    ended: datetime | None = Field(description="null while it lasts")

    @classmethod
    def of(cls, incident: incidents.Incident) -> Self:
        """Return the published form of an incident."""
        return cls(name=incident.name, began=incident.began, ended=incident.ended)


class Status(BaseModel):
    """What is served."""

    role: Role
    healthy: bool
    reasons: list[str] = Field(description="Why not; empty when healthy", examples=[["release_expired"]])
    release: int | None = Field(description="Number of the release; null in the role `evaluator`")
    created: datetime | None
    valid_until: datetime | None = Field(description="Clients refuse the release after this time")
    parameters: str | None = Field(description="Parameter set of the slow hash", examples=["standard", "testing-only"])
    erasures: int | None = Field(description="Identifiers that are left out of the release at their owners' word")
    maintenance: Window | None = Field(description="The maintenance that is under way")
    planned: list[Window] = Field(description="Maintenance to come, earliest first")
    incidents: list[Incident] = Field(
        description="Troubles that last, and then those of the last 90 days, latest first"
    )


def operations(state: State) -> APIRouter:
    """Return the routes that tell how the service is."""
    router = APIRouter(tags=["operations"])

    @router.get("/livez", summary="Is the process alive?", responses=documented())
    async def livez() -> Alive:
        """Restart it when this does not answer."""
        return Alive()

    @router.get(
        "/readyz",
        summary="Can a check be made here now?",
        responses={503: {"model": Ready, "description": "Not ready: `reasons` says why"}, **documented()},
    )
    async def readyz(response: Response) -> Ready:
        """Send no one here while this answers 503."""
        reasons = _reasons(state)
        response.status_code = 503 if reasons else 200
        return Ready(
            ready=not reasons,
            role=state.settings.role,
            checked=state.checked(),
            reasons=reasons,
            self_check=state.self_check() if state.self_check else None,
        )

    @router.get(STATUS, summary="What is served", responses=documented())
    async def status() -> Status:
        """The release, how long it is current, whether anything is wrong, and what is planned."""
        manifest = state.shelf.manifest if state.shelf else None
        reasons = _reasons(state)
        board = state.notices.board()
        return Status(
            role=state.settings.role,
            healthy=not reasons,
            reasons=reasons,
            release=manifest.release if manifest else None,
            created=manifest.created if manifest else None,
            valid_until=manifest.valid_until if manifest else None,
            parameters=manifest.slow_hash.name if manifest else None,
            erasures=manifest.erasures if manifest else None,
            maintenance=Window.of(board.current) if board.current else None,
            planned=[Window.of(window) for window in board.planned],
            incidents=[Incident.of(one) for one in (*board.troubles, *board.past)],
        )

    @router.get(
        "/metrics",
        summary="Counters, in Prometheus' text format",
        response_class=Response,
        responses={
            200: {"description": "Counters", "content": {"text/plain": {"schema": {"type": "string"}}}},
            **documented(),
        },
    )
    async def metrics() -> Response:
        """No address, no bucket and nothing that was submitted stands in them."""
        return Response("\n".join(_metrics(state)) + "\n", media_type="text/plain; version=0.0.4; charset=utf-8")

    return router


def _reasons(state: State) -> list[str]:
    return [*([MAINTENANCE] if state.notices.current() else []), *state.reasons()]


def _metrics(state: State) -> Iterator[str]:
    counts = state.counts
    yield "# HELP breachcheck_requests_total Requests by route, method and status."
    yield "# TYPE breachcheck_requests_total counter"
    for (route, method, status), count in sorted(counts.requests.items()):
        yield f'breachcheck_requests_total{{route="{route}",method="{method}",status="{status}"}} {count}'
    yield "# HELP breachcheck_refusals_total Evaluations refused, by reason."
    yield "# TYPE breachcheck_refusals_total counter"
    for reason, count in sorted(counts.refusals.items()):
        yield f'breachcheck_refusals_total{{reason="{reason}"}} {count}'
    for name, text, outcomes in (
        ("self_checks", "Checks that the service made of itself, by outcome.", counts.self_checks),
        ("new_releases", "Releases found while serving, by what became of them.", counts.releases),
    ):
        yield f"# HELP breachcheck_{name}_total {text}"
        yield f"# TYPE breachcheck_{name}_total counter"
        for outcome, count in sorted(outcomes.items()):
            yield f'breachcheck_{name}_total{{outcome="{outcome}"}} {count}'
    for name, text, total in (
        ("evaluations", "Evaluations answered, those of the self-check aside.", counts.evaluations),
        ("elements", "Elements evaluated, those of the self-check aside.", counts.elements),
        ("damaged_pages", "Pages that were not what was published.", counts.damaged_pages),
        ("incidents", "Incidents that began since the process did.", state.notices.incidents.begun),
    ):
        yield f"# HELP breachcheck_{name}_total {text}"
        yield f"# TYPE breachcheck_{name}_total counter"
        yield f"breachcheck_{name}_total {total}"
    board = state.notices.board()
    gauges = [
        ("ready", "1 if a check can be made here now.", int(not _reasons(state))),
        ("incidents_open", "Incidents that last.", len(board.troubles)),
        ("maintenance", "1 while planned maintenance is under way.", int(board.current is not None)),
        ("maintenance_planned", "Windows of maintenance to come.", len(board.planned)),
        ("maintenance_plan_readable", "0 while the plan's file cannot be used.", int(state.notices.readable)),
    ]
    if state.self_check:
        gauges.append(("self_check", "1 if the last self-check passed.", int(state.self_check() is None)))
    if state.shelf:
        manifest = state.shelf.manifest
        left = manifest.valid_until.timestamp() - state.clock()
        gauges += [
            ("release", "Number of the release.", manifest.release),
            ("release_expiry_seconds", "Seconds until the release expires; negative afterwards.", int(left)),
        ]
    for name, text, value in gauges:
        yield f"# HELP breachcheck_{name} {text}"
        yield f"# TYPE breachcheck_{name} gauge"
        yield f"breachcheck_{name} {value}"
