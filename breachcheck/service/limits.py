"""Rationing: how many elements are evaluated a day, for one address and for everybody.

The window is the UTC day. It costs one number an address, it tells a refused client exactly when to come back, and all
addresses are forgotten at its end; a rolling day would keep a timestamp for each element. Its price is that two days'
worth can be spent around one midnight. A restart forgets the day so far.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from ipaddress import IPv6Address, ip_address
from typing import Final

from limits import RateLimitItemPerDay
from limits.storage import Storage
from limits.strategies import FixedWindowRateLimiter

from breachcheck.service.problems import RefusedError

DAY: Final = 86_400  # seconds
MAX_ADDRESSES: Final = 100_000  # counted at a time: some 30 MB


class Counters(Storage):
    """A bounded storage of `limits` in memory. The counter that was longest untouched gives way to a new one.

    The library's own `MemoryStorage` is unbounded, reads the wall clock, and sweeps every key in a thread up to a
    hundred times a second: 0.7 of a core with 100,000 addresses.
    """

    STORAGE_SCHEME = None

    def __init__(self, capacity: int) -> None:
        super().__init__()
        self._capacity = capacity
        self._counts: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._counts)

    @property
    def base_exceptions(self) -> tuple[type[Exception], ...]:
        """What the storage may raise of its own: nothing."""
        return ()

    def incr(self, key: str, expiry: float, amount: int = 1) -> int:  # noqa: ARG002 - `reset` ends the window
        """Return the count under `key` after adding `amount`."""
        count = self._counts.pop(key, 0) + amount
        if len(self._counts) >= self._capacity:
            del self._counts[next(iter(self._counts))]
        self._counts[key] = count
        return count

    def get(self, key: str) -> int:
        """Return the count under `key`."""
        return self._counts.get(key, 0)

    def get_expiry(self, key: str) -> float:  # noqa: ARG002
        """Return when the counter ends: never by itself."""
        return math.inf

    def check(self) -> bool:
        """Return whether the storage can be reached."""
        return True

    def reset(self) -> int | None:
        """Forget everything, and return how many counters that were."""
        forgotten = len(self._counts)
        self._counts.clear()
        return forgotten

    def clear(self, key: str) -> None:
        """Forget one counter."""
        self._counts.pop(key, None)


def network(host: str) -> str:
    """Return what is counted as one address: an IPv4 address, or the /64 of an IPv6 address.

    A host that is no address (a UNIX socket, a trusted proxy's mistake) is counted with all others of its sort.
    """
    try:
        address = ip_address(host.partition("%")[0])
    except ValueError:
        return "unknown"
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is None:
            return address.packed[:8].hex()
        address = address.ipv4_mapped
    return str(address)


class Ration:
    """Counts elements by address and in all.

    Where more than MAX_ADDRESSES are counted in one day, the one longest silent is forgotten, and could begin anew.
    Whoever commands so many addresses is not held by a limit on each: the daily cap of the whole service is what holds.
    """

    def __init__(self, daily_cap: int, address_cap: int, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._day = -1.0
        self._addresses = Counters(MAX_ADDRESSES)
        self._service = Counters(1)
        self._by_address = FixedWindowRateLimiter(self._addresses)
        self._in_all = FixedWindowRateLimiter(self._service)
        self._address_cap = RateLimitItemPerDay(address_cap) if address_cap else None
        self._daily_cap = RateLimitItemPerDay(daily_cap)

    def take(self, host: str, cost: int) -> None:
        """Count `cost` elements for `host`, or none at all.

        Raises:
            RefusedError: `address_cap` or `daily_cap`, with the seconds until midnight UTC in Retry-After.
        """
        day, second = divmod(self._clock(), DAY)
        if day != self._day:
            self._day = day
            self._addresses.reset()
            self._service.reset()
        # Nothing awaits between test and hit, so no other request comes in between.
        address = network(host)
        if self._address_cap and not self._by_address.test(self._address_cap, address, cost=cost):
            raise RefusedError("address_cap", _retry_after(second))
        if not self._in_all.test(self._daily_cap, cost=cost):
            raise RefusedError("daily_cap", _retry_after(second))
        if self._address_cap:
            self._by_address.hit(self._address_cap, address, cost=cost)
        self._in_all.hit(self._daily_cap, cost=cost)

    def spent(self) -> bool:
        """Return whether nobody can be answered any more today."""
        return self._clock() // DAY == self._day and not self._in_all.test(self._daily_cap)


def _retry_after(second: float) -> dict[str, str]:
    return {"retry-after": str(max(1, math.ceil(DAY - second)))}
