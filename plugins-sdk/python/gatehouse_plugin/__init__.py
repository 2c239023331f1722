"""Write a Gatehouse plugin in Python: one class, one decorator, and a module for each capability.

    from gatehouse_plugin import Changes, Plugin, Request, export

    @export
    class Hello(Plugin):
        def on_request(self, request: Request) -> Changes:
            return Changes().set_header("x-hello", "world")

Capabilities are the modules `log kv jwt introspection keys rate_limit http metrics`. A component imports those that its
plugin imports, and the operator grants them by name.
"""

from .changes import Changes, Reply, ResponseChanges
from .client import Client
from .fields import Headers
from .needs import Needs, buffered, streamed
from .plugin import Plugin, PluginError, export
from .request import Request
from .response import Response

__all__ = [
    "Changes",
    "Client",
    "Headers",
    "Needs",
    "Plugin",
    "PluginError",
    "Reply",
    "Request",
    "Response",
    "ResponseChanges",
    "buffered",
    "export",
    "streamed",
]
