"""The class that a plugin is, and the decorator that makes it the component's."""

from typing import Any, TypeVar

from .changes import Changes, Reply, ResponseChanges
from .needs import Needs
from .request import Request
from .response import Response


class PluginError(Exception):
    """Refuses a configuration, or ends a request as a fault. Its text goes to the log."""


class Plugin:
    """One configured use of a plugin. Keep nothing in `self` that another call must find: the next phase may run on
    another instance. `Changes.state` goes to this request's response phase; `kv` is shared by all.
    """

    config: Any
    """The configuration. Annotate it in your class with a dataclass, which the configuration then has to fit, or with `dict`
    for any. A plugin that does not takes no configuration at all."""

    def setup(self) -> None:
        """Runs once for each instance, off the request path: parse and build tables here."""

    def needs(self) -> Needs:
        """What the plugin wants to see; nothing else is shown."""
        return Needs()

    def on_request(self, request: Request) -> Changes | Reply | None:
        """Decides about a request. None lets it go on as it is."""
        return None

    def on_request_body(self, chunk: bytes, last: bool) -> bytes | Reply | None:
        """One chunk of a streamed body. None passes it on; bytes go in its place; a reply ends the request here."""
        return None

    def on_response(self, response: Response) -> ResponseChanges | Reply | None:
        """Decides about a response on its way back, if `needs` or this method's presence asks for it."""
        return None

    def on_response_body(self, chunk: bytes, last: bool) -> bytes | None:
        """One chunk of a streamed body. None passes it on; bytes go in its place."""
        return None

    @classmethod
    def config_schema(cls) -> dict[str, Any] | None:
        """The JSON Schema of the configuration, for `gatehouse check`. Made from the annotation of `config`."""
        from .config import kind_of, schema

        return schema(kind_of(cls))


exported: type[Plugin] | None = None
"""The component's plugin."""

P = TypeVar("P", bound=type[Plugin])


def export(plugin: P) -> P:
    """Makes this class the component's plugin."""
    global exported
    if exported is not None:
        raise TypeError(f"a component has one plugin, and {exported.__name__} is exported already")
    exported = plugin
    return plugin
