"""Assigns each caller to a variant of an experiment, by weight, and stays with it.

The upstream reads the variant in a header. Known clients keep theirs on every device; others by a cookie.
"""

import secrets
from dataclasses import dataclass, field
from hashlib import blake2b

from gatehouse_plugin import Changes, Needs, Plugin, PluginError, Request, export


@dataclass
class Config:
    experiment: str
    """Its name: another experiment deals the same callers out anew."""
    weights: dict[str, int]
    """Variants and their shares, such as `{control: 90, new-cart: 10}`."""
    header: str = "x-variant"
    cookie: str = "visitor"
    """The cookie by which callers without a name are known again; made where it is missing."""
    max_age: int = 30 * 24 * 3600
    """Seconds that the cookie is kept."""
    force: dict[str, str] = field(default_factory=dict)
    """Variants of clients by their names, whatever the weights: for those who test."""


@export
class Ab(Plugin):
    config: Config

    def setup(self) -> None:
        weights = self.config.weights
        if not weights or any(weight < 0 for weight in weights.values()) or sum(weights.values()) == 0:
            raise PluginError("weights wants variants with shares of 0 and more, and one above 0")
        for client, variant in self.config.force.items():
            if variant not in weights:
                raise PluginError(f"force.{client} is no variant: {variant}")

    def needs(self) -> Needs:
        return Needs(request_headers=["cookie"], client=True)

    def on_request(self, request: Request) -> Changes:
        if request.client:
            name = request.client.name
            return self._assigned(self.config.force.get(name) or self._variant(f"client {name}"))
        visitor = self._cookie(request)
        if visitor is not None:
            return self._assigned(self._variant(f"cookie {visitor}"))
        visitor = secrets.token_urlsafe(16)
        cookie = f"{self.config.cookie}={visitor}; Path=/; Max-Age={self.config.max_age}; HttpOnly; SameSite=Lax"
        return self._assigned(self._variant(f"cookie {visitor}")).on_response_add_header("set-cookie", cookie)

    def _assigned(self, variant: str) -> Changes:
        return Changes().set_header(self.config.header, variant).on_response_set_header(self.config.header, variant)

    def _variant(self, who: str) -> str:
        """The variant whose part of the whole the caller's hash falls into: the same for all time and on every gateway."""
        digest = blake2b(f"{self.config.experiment} {who}".encode("utf-8", "surrogateescape"), digest_size=8).digest()
        place = int.from_bytes(digest) * sum(self.config.weights.values()) >> 64
        for variant, weight in self.config.weights.items():
            if place < weight:
                return variant
            place -= weight
        raise AssertionError("the place is below the sum of the weights")

    def _cookie(self, request: Request) -> str | None:
        for line in request.headers.get_all("cookie"):
            for pair in line.split(";"):
                name, _, value = pair.strip().partition("=")
                if name == self.config.cookie and value:
                    return value
        return None
