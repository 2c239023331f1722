"""Actions on bodies, whole and in chunks. The chunks of one body reach the instance that saw the phase before them, so
what they have in common is kept here."""

from gatehouse_plugin import Changes, Request


class Body:
    """A streamed body under way."""

    def __init__(self) -> None:
        self.begin("")

    def begin(self, action: str) -> None:
        self.action = action
        self.held = b""

    def chunk(self, chunk: bytes, last: bool) -> bytes | None:
        """What becomes of the next chunk."""
        if self.action == "upper":
            return chunk.upper() + (b"<end>" if last else b"")
        if self.action != "hold":
            return None
        self.held += chunk
        return self.held if last else b""


def upper(request: Request) -> Changes:
    """The changes of `upper` to a request."""
    if request.body is None:
        return Changes().set_header("x-length", "-")
    return Changes().set_header("x-length", str(len(request.body))).set_body(request.body.upper())
