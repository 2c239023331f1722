"""Look-up of API keys. The gateway keeps only their digests. Grant: `keys`.

None stands for a key that is malformed, unknown, expired or revoked, or whose client is disabled: answer each alike, or
callers learn which keys exist.
"""

from dataclasses import dataclass

from wit_world.imports import keys as _wit

from .fields import Value, encoded


@dataclass(frozen=True)
class Holder:
    """The client that holds a key."""

    name: str
    scopes: list[str]
    """What this key may do."""
    plan: str | None
    key_id: str | None


def find(key: Value) -> Holder | None:
    """The holder of this key. When the plugin then lets the request go on, it is the authenticated client."""
    return _holder(_wit.find(encoded(key)))


def find_of(name: str, key: Value) -> Holder | None:
    """The same, if the holder is the client of this name: a name and a password."""
    return _holder(_wit.find_of(name, encoded(key)))


def _holder(found: _wit.Holder | None) -> Holder | None:
    return None if found is None else Holder(found.name, found.scopes, found.plan, found.key_id)
