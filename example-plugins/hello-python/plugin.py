"""The smallest useful plugin in Python: says hello to the upstream and to the client."""

from gatehouse_plugin import Changes, Plugin, Request, export


@export
class Hello(Plugin):
    def on_request(self, request: Request) -> Changes:
        return Changes().set_header("x-hello-from", str(request.address)).on_response_set_header("x-hello", "world")
