"""What the configured issuers say of opaque tokens (RFC 7662). The gateway asks and remembers. Grant: `introspection`."""

from collections.abc import Sequence
from dataclasses import dataclass

from wit_world.imports import introspection as _wit

from ._errors import CapabilityError, raising
from .fields import Value, encoded


class Refusal(CapabilityError):
    """`malformed`, `unknown-issuer`, `inactive`, `expired`, `not-yet-valid`, `wrong-audience`, or `unavailable`: answer
    that with 503, not 401."""


@dataclass(frozen=True)
class Verified:
    """What an issuer says of a token."""

    issuer: str
    subject: str
    """The `sub` of the answer, or the `client_id` where there is none."""
    scope: str
    """Separated by spaces."""
    claims: list[str | None]
    """Those asked for, in that order: a string as it is, any other value as JSON."""


def introspect(token: Value, issuers: Sequence[str] = (), claims: Sequence[str] = ()) -> Verified:
    """Asks about a token. `issuers` are names from the configuration; none allows all that can be asked. Refusal."""
    found = raising(Refusal, _wit.introspect, encoded(token), list(issuers), list(claims))
    return Verified(found.issuer, found.subject, found.scope, found.claims)
