"""The watch: every few seconds, what is wrong becomes an incident, and what is right again ends one."""

from __future__ import annotations

import asyncio
from typing import Final

from breachcheck.service.notices import PLAN_TROUBLE
from breachcheck.service.state import State

DAILY_CAP: Final = "daily_cap"
_EVERY: Final = 3.0  # seconds


class Watch:
    """Looks at one process. Incidents that the record of an earlier process left open are taken over."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._open = {one.name for one in state.notices.incidents.open} - {PLAN_TROUBLE}

    def look(self) -> None:
        """Begin and end incidents by what `State.reasons` says, and by whether the day's ration is spent."""
        state = self._state
        state.notices.current()  # looks after the plan
        wrong = {*state.reasons(), *([DAILY_CAP] if state.ration.spent() else [])}
        for name in sorted(wrong):
            state.notices.incidents.trouble(name)
        for name in sorted(self._open - wrong):
            state.notices.incidents.clear(name)
        self._open = wrong

    async def stand(self) -> None:
        """Look, again and again, until cancelled."""
        while True:
            self.look()
            await asyncio.sleep(_EVERY)
