"""Token buckets and places, exact over all workers of this gateway. Grant: `rate-limit`."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from wit_world.imports import rate_limit as _wit

from .fields import Value, encoded

Key = _wit.Key
"""Whose bucket: `CLIENT`, `ADDRESS`, `ROUTE`, `API_KEY`, or a `text`."""
CLIENT: Key = _wit.Key_Client()
"""The authenticated client; its address where there is none."""
ADDRESS: Key = _wit.Key_Address()
ROUTE: Key = _wit.Key_Route()
"""One bucket for everybody."""
API_KEY: Key = _wit.Key_ApiKey()


def text(key: Value) -> Key:
    """What the plugin says: a header's value, a tenant … The first 256 bytes count."""
    return _wit.Key_Text(encoded(key))


@dataclass(frozen=True)
class Policy:
    """How fast a bucket fills, and what it holds."""

    rate: float
    """Tokens added each second."""
    burst: int
    """What it holds, at least 1."""
    name: str | None = None
    """Policies of one name share their buckets over all routes; without one they belong to this use of the plugin."""
    strict: bool = False
    """In a fleet: the shared counter is asked each time."""

    def _raw(self) -> _wit.Policy:
        return _wit.Policy(self.name, float(self.rate), self.burst, self.strict)


@dataclass(frozen=True)
class Charge:
    """One of several takes."""

    policy: Policy
    key: Key = field(default_factory=_wit.Key_Client)
    cost: int = 1


@dataclass(frozen=True)
class Decision:
    """What came of a take."""

    allowed: bool
    remaining: int
    """Whole tokens left."""
    reset: float
    """Seconds until there is a whole token more."""
    retry_after: float
    """Seconds until this call would be allowed; 0 if it was."""


def take(policy: Policy, key: Key = CLIENT, cost: int = 1) -> Decision:
    """Takes `cost` tokens if they are there; takes none if not."""
    return _decision(_wit.take(policy._raw(), key, cost))


def take_all(charges: Sequence[Charge]) -> list[Decision]:
    """Takes from several buckets, 8 at most: from all of them, or, if one has too little, from none."""
    raw = [_wit.Charge(charge.policy._raw(), charge.key, charge.cost) for charge in charges]
    return [_decision(decision) for decision in _wit.take_all(raw)]


def enter(name: str | None, key: Key, limit: int) -> bool:
    """Takes one of `limit` places and holds it until the response was sent. False if all are taken."""
    return _wit.enter(name, key, limit)


def _decision(raw: _wit.Decision) -> Decision:
    return Decision(raw.allowed, raw.remaining, raw.reset_ms / 1000, raw.retry_after_ms / 1000)
