"""A store in memory, shared by all instances of one plugin on this gateway and seen by no other plugin. Grant: `kv`.

It has a quota in bytes (1 MiB by default), counting keys, values and 64 bytes for each entry.
"""

from wit_world.imports import kv as _wit

from ._errors import CapabilityError, milliseconds, raising
from .fields import Value, encoded


class KvError(CapabilityError):
    """`quota`: the write would pass the quota, and nothing was changed. `not-a-counter`: `increment` found another value."""


def get(key: str) -> bytes | None:
    return _wit.get(key)


def set(key: str, value: Value, ttl: float | None = None) -> None:
    """Writes a value, for `ttl` seconds or until it is deleted. KvError."""
    raising(KvError, _wit.set, key, encoded(value), milliseconds(ttl))


def delete(key: str) -> None:
    _wit.delete(key)


def increment(key: str, delta: int = 1, ttl: float | None = None) -> int:
    """Adds to a counter atomically and returns its new value; one that is not there starts at 0. The time to live is set
    when the counter starts and stays as it is, so a counter with one is a fixed window. KvError."""
    return raising(KvError, _wit.increment, key, delta, milliseconds(ttl))
