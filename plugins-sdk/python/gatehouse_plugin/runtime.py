"""The world's exports, on top of the plugin that was exported. What an author raises becomes a fault that names the line."""

import json
import sys
from collections.abc import Callable
from typing import Any, NoReturn, ParamSpec, TypeVar

from componentize_py_types import Err
from wit_world.imports import types as wit

from . import config, plugin
from .changes import Changes, Reply, ResponseChanges
from .plugin import Plugin, PluginError
from .request import Request
from .response import Response


P = ParamSpec("P")
R = TypeVar("R")


def _exported() -> type[Plugin]:
    if plugin.exported is None:
        raise TypeError("no plugin: put `@export` above its class")
    return plugin.exported


def _guarded(call: Callable[P, R]) -> Callable[P, R]:
    def guarded(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return call(*args, **kwargs)
        except PluginError as error:
            raise Err(str(error)) from error
        except Exception as error:
            raise Err(f"{type(error).__name__}: {error}{_place(error)}") from error

    return guarded


def _place(error: Exception) -> str:
    """Where in the author's code it came up: the innermost line that is not of this SDK."""
    trace, place = error.__traceback__, ""
    while trace is not None:
        code = trace.tb_frame.f_code
        if not code.co_filename.endswith(("/gatehouse_plugin/runtime.py", "/gatehouse_plugin/config.py")):
            place = f" ({code.co_filename.rpartition('/')[2]}, line {trace.tb_lineno}, in {code.co_name})"
        trace = trace.tb_next
    return place


class _Configured:
    """What `configure` made. It is the instance's, since the interpreter makes a `WitWorld` for each call."""

    plugin: Plugin | None = None
    request_headers: list[str] = []
    response_headers: list[str] = []


class WitWorld:
    """What the component exports."""

    @_guarded
    def config_schema(self) -> str | None:
        schema = _exported().config_schema()
        return None if schema is None else json.dumps(schema)

    @_guarded
    def configure(self, document: str) -> wit.Needs:
        kind = _exported()
        _reseed()
        configured = kind()
        configured.config = config.read(config.kind_of(kind), json.loads(document))
        configured.setup()
        needs = configured.needs()._raw(_phases(kind))
        _Configured.plugin = configured
        _Configured.request_headers, _Configured.response_headers = needs.request_headers, needs.response_headers
        return needs

    @_guarded
    def on_request(self, raw: wit.Request) -> wit.RequestVerdict:
        verdict = _configured().on_request(Request(raw, _Configured.request_headers))
        match verdict:
            case None:
                return wit.RequestVerdict_Next(Changes()._raw())
            case Changes():
                return wit.RequestVerdict_Next(verdict._raw())
            case Reply():
                return wit.RequestVerdict_Respond(verdict._raw)
        _refuse("on_request", "Changes, a Reply or None", verdict)

    @_guarded
    def on_request_body(self, chunk: bytes, last: bool) -> wit.ChunkVerdict:
        return _chunk("on_request_body", _configured().on_request_body(chunk, last))

    @_guarded
    def on_response(self, raw: wit.Response) -> wit.ResponseVerdict:
        verdict = _configured().on_response(Response(raw, _Configured.response_headers))
        match verdict:
            case None:
                return wit.ResponseVerdict_Next([])
            case ResponseChanges():
                return wit.ResponseVerdict_Next(verdict._edits)
            case Reply():
                return wit.ResponseVerdict_Respond(verdict._raw)
        _refuse("on_response", "ResponseChanges, a Reply or None", verdict)

    @_guarded
    def on_response_body(self, chunk: bytes, last: bool) -> wit.ChunkVerdict:
        return _chunk("on_response_body", _configured().on_response_body(chunk, last))


def _reseed() -> None:
    """The module `random` was seeded when it was imported, by the build: every instance would draw the same numbers."""
    if "random" in sys.modules:
        sys.modules["random"].seed()


def _configured() -> Plugin:
    assert _Configured.plugin is not None, "the gateway configures an instance before it calls it"
    return _Configured.plugin


def _phases(kind: type[Plugin]) -> wit.Phases:
    """The phases that the plugin has a method of its own for; the request phase where it has none."""
    request = kind.on_request is not Plugin.on_request or kind.on_request_body is not Plugin.on_request_body
    response = kind.on_response is not Plugin.on_response or kind.on_response_body is not Plugin.on_response_body
    phases = wit.Phases.RESPONSE if response else wit.Phases.REQUEST
    return phases | wit.Phases.REQUEST if request else phases


def _chunk(method: str, verdict: Any) -> wit.ChunkVerdict:
    match verdict:
        case None:
            return wit.ChunkVerdict_Pass()
        case bytes() | bytearray():
            return wit.ChunkVerdict_Replace(bytes(verdict))
        case Reply():
            return wit.ChunkVerdict_Respond(verdict._raw)
    _refuse(method, "bytes, a Reply or None", verdict)


def _refuse(method: str, wanted: str, got: Any) -> NoReturn:
    raise TypeError(f"{method} returns {wanted}, not {type(got).__name__}")
