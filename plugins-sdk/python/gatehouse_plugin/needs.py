"""What a plugin declares it needs to see."""

from collections.abc import Sequence
from dataclasses import dataclass

from wit_world.imports import types as wit


def buffered(limit: int) -> wit.BodyMode:
    """The whole body, in one piece. One longer than so many bytes is answered with 413, or 502 on its way back."""
    return wit.BodyMode_Buffered(limit)


def streamed() -> wit.BodyMode:
    """The body chunk by chunk, as it passes."""
    return wit.BodyMode_Streamed()


@dataclass(frozen=True)
class Needs:
    """What a plugin needs to see; nothing else is shown to it. Less is faster.

    The phases follow from the methods that a plugin has.
    """

    request_headers: Sequence[str] = ()
    """`host` stands for HTTP/2's `:authority` too."""
    response_headers: Sequence[str] = ()
    request_body: wit.BodyMode | None = None
    """`buffered(bytes)` or `streamed()`."""
    response_body: wit.BodyMode | None = None
    body_types: Sequence[str] = ()
    """Media types of the bodies to show, such as `application/json` or `*/*+json`; none for all."""
    client: bool = False
    """Who was authenticated by the plugins before this one."""
    claims: bool = False
    """The client with its token's claims."""
    all_request_headers: bool = False
    all_response_headers: bool = False

    def _raw(self, phases: wit.Phases) -> wit.Needs:
        wants = {
            wit.Wants.CLIENT: self.client or self.claims,
            wit.Wants.CLAIMS: self.claims,
            wit.Wants.ALL_REQUEST_HEADERS: self.all_request_headers,
            wit.Wants.ALL_RESPONSE_HEADERS: self.all_response_headers,
        }
        wanted = wit.Wants(0)
        for want, is_wanted in wants.items():
            wanted |= want if is_wanted else wit.Wants(0)
        return wit.Needs(
            phases,
            [name.lower() for name in self.request_headers],
            [name.lower() for name in self.response_headers],
            self.request_body or wit.BodyMode_None_(),
            self.response_body or wit.BodyMode_None_(),
            list(self.body_types),
            wanted,
        )
