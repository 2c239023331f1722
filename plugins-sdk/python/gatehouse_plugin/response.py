"""A response on its way to the client."""

import json
from collections.abc import Sequence
from functools import cached_property
from typing import Any

from wit_world.imports import types as wit

from .client import Client
from .fields import Headers
from .request import hexadecimal, shown


class Response:
    """A response, as far as the plugin's `needs` show it."""

    def __init__(self, raw: wit.Response, declared: Sequence[str]) -> None:
        self._raw = raw
        self._declared = declared

    @property
    def id(self) -> str:
        """The id of the request that it answers: 32 hexadecimal digits."""
        return hexadecimal(self._raw.id)

    @property
    def status(self) -> int:
        return self._raw.status

    @cached_property
    def headers(self) -> Headers:
        return shown(self._declared, self._raw.headers, self._raw.others)

    @cached_property
    def client(self) -> Client | None:
        """Who was authenticated by the plugins on the way in."""
        return None if self._raw.client is None else Client._of(self._raw.client)

    @property
    def state(self) -> bytes | None:
        """What this plugin kept in `Changes.state` for this request."""
        return self._raw.state

    @property
    def is_from_gateway(self) -> bool:
        """Whether the gateway made this answer itself: no route, no endpoint, a fault …"""
        return self._raw.from_gateway

    @property
    def body(self) -> bytes | None:
        """The whole body, if the plugin needs it buffered and it is of one of the types to show."""
        return self._raw.body

    def json(self) -> Any:
        """The body as JSON. ValueError if it is none."""
        return json.loads(self.body or b"")
