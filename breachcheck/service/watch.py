"""The watch: every second, what is wrong becomes an incident, and what is right again ends one.

How long trouble lasts, at most, before the status page and the feeds tell of it, in seconds:

    44  from one self-check to the next, beginning to beginning (its setting); for the same page of a release 30
     7  until that self-check has failed (`selfcheck.WALK`)
     1  in which one that does not end may still (`selfcheck.LATE`)
     1  until the watch looks
     5  in which it may come right by itself (GRACE)
     1  until the watch looks again

59 in all. From the first look on, or at once where no self-check is needed to see it (an expired release, a spent
ration), `/readyz` and the pages tell that no check can be made.
"""

from __future__ import annotations

import asyncio
from typing import Final

from breachcheck.service.notices import PLAN_TROUBLE
from breachcheck.service.state import State

DAILY_CAP: Final = "daily_cap"
GRACE: Final = 5.0  # seconds that trouble lasts before it is an incident: a start, or a hiccup, is none
EVERY: Final = 1.0  # seconds


class Watch:
    """Looks at one process. Incidents that the record of an earlier process left open are taken over."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._open = {one.name for one in state.notices.incidents.open} - {PLAN_TROUBLE}
        self._since: dict[str, float] = {}

    def look(self) -> None:
        """Begin and end incidents by what `State.reasons` says, and by whether the day's ration is spent."""
        state = self._state
        now, maintenance = state.clock(), state.notices.current()  # which looks after the plan
        wrong = {*state.reasons(), *([DAILY_CAP] if state.ration.spent() else [])}
        # What is wrong at the end of maintenance has its time to come right, too.
        self._since = {} if maintenance else {name: min(now, self._since.get(name, now)) for name in sorted(wrong)}
        for name, since in self._since.items():
            if now - since >= GRACE:
                state.notices.incidents.trouble(name, since)
        for name in sorted(self._open - wrong):
            state.notices.incidents.clear(name)
        self._open = wrong

    async def stand(self) -> None:
        """Look, again and again, until cancelled."""
        while True:
            self.look()
            await asyncio.sleep(EVERY)
