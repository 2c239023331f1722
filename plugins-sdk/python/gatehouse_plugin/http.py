"""HTTP calls to named upstreams, by the same pools, balancing and timeouts as proxied requests. Grant: `http: [orders]`.

A call simply blocks; the gateway suspends the instance and serves others meanwhile.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from componentize_py_types import Err
from wit_world.imports import http as _wit
from wit_world.imports import types as _types

from ._errors import CapabilityError, milliseconds, raising, word
from .fields import Headers, Value, encoded
from .request import raw_method


class HttpError(CapabilityError):
    """`denied`, `bad-request`, `unreachable`, `timeout`, `reset` or `too-large`."""


@dataclass(frozen=True)
class Request:
    """A request to an upstream."""

    upstream: str
    """One of those granted."""
    path_and_query: str
    method: str = "GET"
    headers: Iterable[tuple[str, Value]] = ()
    body: Value = b""
    timeout: float | None = None
    """Seconds, for the whole call. The plugin's own wall limit applies as well."""

    def _raw(self) -> _wit.Request:
        headers = [_types.Field(name, encoded(value)) for name, value in self.headers]
        body, timeout = encoded(self.body), milliseconds(self.timeout)
        return _wit.Request(self.upstream, raw_method(self.method), self.path_and_query, headers, body, timeout)


@dataclass(frozen=True)
class Response:
    """What an upstream answered."""

    status: int
    headers: Headers
    body: bytes = field(repr=False)

    def json(self) -> Any:
        """The body as JSON. ValueError if it is none."""
        return json.loads(self.body)


def fetch(request: Request) -> Response:
    """Sends a request. HttpError."""
    return _response(raising(HttpError, _wit.fetch, request._raw()))


def get(upstream: str, path_and_query: str, **settings: Any) -> Response:
    """Sends a GET request; `headers` and `timeout` as in `Request`. HttpError."""
    return fetch(Request(upstream, path_and_query, **settings))


def fetch_all(requests: Sequence[Request]) -> list[Response | HttpError]:
    """Sends all requests at once (16 at most) and returns when each has ended, in their order."""
    results = _wit.fetch_all([request._raw() for request in requests])
    return [HttpError(word(result.value)) if isinstance(result, Err) else _response(result.value) for result in results]


def _response(raw: _wit.Response) -> Response:
    return Response(raw.status, Headers([(line.name.lower(), line.value) for line in raw.headers]), raw.body)
