"""What a plugin answers: changes to a request or a response that goes on, or a reply of its own."""

import json
from collections.abc import Iterable
from typing import Any, Self

from wit_world.imports import types as wit

from .client import Client
from .fields import Value, encoded
from .request import raw_method


class ResponseChanges:
    """A response goes on to the client, with these changes in this order."""

    def __init__(self) -> None:
        self._edits: list[wit.ResponseEdit] = []

    def set_header(self, name: str, value: Value) -> Self:
        """Replaces every line of that name by this one."""
        return self._add(wit.ResponseEdit_SetHeader(wit.Field(name, encoded(value))))

    def add_header(self, name: str, value: Value) -> Self:
        """Adds a line and keeps those that are there."""
        return self._add(wit.ResponseEdit_AddHeader(wit.Field(name, encoded(value))))

    def remove_header(self, name: str) -> Self:
        return self._add(wit.ResponseEdit_RemoveHeader(name))

    def set_status(self, status: int) -> Self:
        return self._add(wit.ResponseEdit_SetStatus(status))

    def set_body(self, body: Value) -> Self:
        """Replaces the body. Only for a plugin that needs it buffered."""
        return self._add(wit.ResponseEdit_SetBody(encoded(body)))

    def set_json(self, value: Any) -> Self:
        """Replaces the body by JSON, and says so in `content-type`."""
        return self.set_header("content-type", "application/json").set_body(compact(value))

    def limit_body(self, size: int) -> Self:
        """Limits the body to so many bytes."""
        return self._add(wit.ResponseEdit_LimitBody(size))

    def _add(self, edit: wit.ResponseEdit) -> Self:
        self._edits.append(edit)
        return self


class Changes:
    """A request goes on to the next plugin, then the upstream, with these changes in this order."""

    def __init__(self) -> None:
        self._edits: list[wit.Edit] = []
        self._response = ResponseChanges()
        self._state: bytes | None = None

    def set_header(self, name: str, value: Value) -> Self:
        """Replaces every line of that name by this one."""
        return self._add(wit.Edit_SetHeader(wit.Field(name, encoded(value))))

    def add_header(self, name: str, value: Value) -> Self:
        """Adds a line and keeps those that are there."""
        return self._add(wit.Edit_AddHeader(wit.Field(name, encoded(value))))

    def remove_header(self, name: str) -> Self:
        return self._add(wit.Edit_RemoveHeader(name))

    def set_method(self, method: str) -> Self:
        return self._add(wit.Edit_SetMethod(raw_method(method)))

    def set_path_and_query(self, path_and_query: str) -> Self:
        """A path that starts with `/`, with its query. The route stays as it was chosen."""
        return self._add(wit.Edit_SetPathWithQuery(path_and_query))

    def set_body(self, body: Value) -> Self:
        """Replaces the body. Only for a plugin that needs it buffered, or a request that has none."""
        return self._add(wit.Edit_SetBody(encoded(body)))

    def set_json(self, value: Any) -> Self:
        """Replaces the body by JSON, and says so in `content-type`."""
        return self.set_header("content-type", "application/json").set_body(compact(value))

    def set_client(self, client: Client) -> Self:
        """Says who the caller is. Needs the grant `identity`."""
        return self._add(wit.Edit_SetClient(client._raw()))

    def set_request_id(self, request_id: str) -> Self:
        """Replaces the request id in logs and in the gateway's own answers: 1 to 128 visible ASCII characters."""
        return self._add(wit.Edit_SetRequestId(request_id))

    def limit_body(self, size: int) -> Self:
        """Lowers the limit on the request body to so many bytes."""
        return self._add(wit.Edit_LimitBody(size))

    def on_response(self, changes: ResponseChanges) -> Self:
        """Changes whatever response comes back. A plugin that only decorates responses needs no response phase."""
        self._response._edits.extend(changes._edits)
        return self

    def on_response_set_header(self, name: str, value: Value) -> Self:
        """Sets a header of whatever response comes back."""
        self._response.set_header(name, value)
        return self

    def on_response_add_header(self, name: str, value: Value) -> Self:
        """Adds a header line to whatever response comes back."""
        self._response.add_header(name, value)
        return self

    def state(self, state: Value) -> Self:
        """Is handed back as `Response.state`; 64 KiB at most."""
        self._state = encoded(state)
        return self

    def _raw(self) -> wit.Changes:
        return wit.Changes(self._edits, self._response._edits, self._state)

    def _add(self, edit: wit.Edit) -> Self:
        self._edits.append(edit)
        return self


class Reply:
    """An answer by the plugin itself. The gateway adds the framing."""

    def __init__(self, status: int, body: Value = b"", headers: Iterable[tuple[str, Value]] = ()) -> None:
        self._raw = wit.Reply(status, [wit.Field(name, encoded(value)) for name, value in headers], encoded(body))

    @classmethod
    def json(cls, status: int, value: Any) -> Self:
        """A reply in JSON."""
        return cls(status, compact(value), [("content-type", "application/json")])

    @classmethod
    def problem(cls, status: int, title: str, detail: str) -> Self:
        """A problem (RFC 9457), as the gateway's own answers are."""
        problem = {"type": "about:blank", "title": title, "status": status, "detail": detail}
        return cls(status, compact(problem), [("content-type", "application/problem+json")])

    def header(self, name: str, value: Value) -> Self:
        """Adds a header line."""
        self._raw.headers.append(wit.Field(name, encoded(value)))
        return self


def compact(value: Any) -> bytes:
    """JSON without spaces."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "surrogatepass")
