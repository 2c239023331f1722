"""Who a request is from."""

import json
from dataclasses import dataclass, field
from typing import Any

from wit_world.imports import types as wit


@dataclass
class Client:
    """An authenticated caller."""

    name: str
    """The configured client's name, or the token's subject."""
    method: str
    """Which way it was authenticated: `api-key`, `basic-auth`, `jwt`, `introspection`, or what a plugin said."""
    issuer: str | None = None
    """The issuer of the token, where there was one."""
    scopes: list[str] = field(default_factory=list)
    plan: str | None = None
    """The plan of a configured client, where it has one."""
    claims: dict[str, Any] | None = None
    """The token's claims, for a plugin that needs them."""

    @classmethod
    def _of(cls, client: wit.Client) -> "Client":
        claims = None if client.claims is None else json.loads(client.claims)
        return cls(client.name, client.method, client.issuer, client.scopes, client.plan, claims)

    def _raw(self) -> wit.Client:
        claims = None if self.claims is None else json.dumps(self.claims)
        return wit.Client(self.name, self.method, self.issuer, self.scopes, self.plan, claims)
