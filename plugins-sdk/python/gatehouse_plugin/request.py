"""A request on its way to the upstream."""

import json
from collections.abc import Sequence
from functools import cached_property
from ipaddress import IPv4Address, IPv6Address
from typing import Any

from wit_world.imports import types as wit

from .client import Client
from .fields import Headers

_METHODS: dict[type, str] = {
    wit.Method_Get: "GET",
    wit.Method_Head: "HEAD",
    wit.Method_Post: "POST",
    wit.Method_Put: "PUT",
    wit.Method_Delete: "DELETE",
    wit.Method_Patch: "PATCH",
    wit.Method_Options: "OPTIONS",
}
_RAW_METHODS: dict[str, wit.Method] = {name: kind() for kind, name in _METHODS.items()}


def raw_method(name: str) -> wit.Method:
    """A method as the contract has it."""
    return _RAW_METHODS.get(name) or wit.Method_Other(name)


def shown(declared: Sequence[str], headers: list[wit.Header], others: list[wit.Field] | None) -> Headers:
    """The headers that were declared, then all others if they were asked for."""
    lines = [(declared[header.index], header.value) for header in headers]
    lines.extend((field.name, field.value) for field in others or ())
    return Headers(lines)


def hexadecimal(number: tuple[int, int]) -> str:
    """The request id as text."""
    return f"{number[0]:016x}{number[1]:016x}"


class Request:
    """A request, as far as the plugin's `needs` show it."""

    def __init__(self, raw: wit.Request, declared: Sequence[str]) -> None:
        self._raw = raw
        self._declared = declared

    @property
    def id(self) -> str:
        """The request id: 32 hexadecimal digits."""
        return hexadecimal(self._raw.id)

    @property
    def method(self) -> str:
        raw = self._raw.method
        return raw.value if isinstance(raw, wit.Method_Other) else _METHODS[type(raw)]

    @property
    def scheme(self) -> str:
        """`http` or `https`."""
        return self._raw.scheme.name.lower()

    @property
    def path_and_query(self) -> str:
        return self._raw.path_with_query

    @property
    def path(self) -> str:
        return self._raw.path_with_query.partition("?")[0]

    @property
    def query(self) -> str:
        """What follows the `?`. For its parts use `urllib.parse.parse_qs`."""
        return self._raw.path_with_query.partition("?")[2]

    @property
    def address(self) -> IPv4Address | IPv6Address:
        """The client's address."""
        match self._raw.address:
            case wit.IpAddress_Ipv4(number):
                return IPv4Address(number)
            case wit.IpAddress_Ipv6((high, low)):
                return IPv6Address(high << 64 | low)

    @cached_property
    def headers(self) -> Headers:
        return shown(self._declared, self._raw.headers, self._raw.others)

    @cached_property
    def client(self) -> Client | None:
        """Who was authenticated by the plugins before this one."""
        return None if self._raw.client is None else Client._of(self._raw.client)

    @property
    def body(self) -> bytes | None:
        """The whole body, if the plugin needs it buffered and it is of one of the types to show."""
        return self._raw.body

    def json(self) -> Any:
        """The body as JSON. ValueError if it is none."""
        return json.loads(self.body or b"")
