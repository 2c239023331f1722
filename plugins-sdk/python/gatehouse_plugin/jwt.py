"""Verification of JSON Web Tokens by the gateway, with the keys of the configured issuers. Grant: `jwt`."""

from collections.abc import Sequence
from dataclasses import dataclass

from wit_world.imports import jwt as _wit

from ._errors import CapabilityError, raising
from .fields import Value, encoded


class Refusal(CapabilityError):
    """`malformed`, `unknown-issuer`, `bad-signature`, `expired`, `not-yet-valid`, `wrong-audience`, `bad-claims`, or
    `keys-unavailable`: answer that with 503, not 401."""


@dataclass(frozen=True)
class Verified:
    """What a token says."""

    issuer: str
    subject: str
    scope: str
    """Separated by spaces."""
    claims: list[str | None]
    """Those asked for, in that order: a string as it is, any other value as JSON."""


def verify(token: Value, issuers: Sequence[str] = (), claims: Sequence[str] = ()) -> Verified:
    """Verifies a token. `issuers` are names from the configuration; none allows them all. Refusal.

    When the plugin then lets the request go on, its subject is the authenticated client. A token by a key that the gateway
    does not know yet makes it ask the plugin once more, later: verify before anything that must not happen twice.
    """
    found = raising(Refusal, _wit.verify, encoded(token), list(issuers), list(claims))
    return Verified(found.issuer, found.subject, found.scope, found.claims)
