"""The reference plugin of the conformance kit, as `tests/conformance/README.md` describes it."""

from dataclasses import dataclass

from gatehouse_plugin import Changes, Needs, Plugin, PluginError, Reply, Request, Response, ResponseChanges, buffered, export, streamed

import bodies
import capabilities
import faults
import heads


@dataclass
class Config:
    body: str = "none"
    limit: int = 1000
    others: bool = False


@export
class Reference(Plugin):
    config: Config

    def setup(self) -> None:
        if self.config.body not in ("none", "buffered", "streamed"):
            raise PluginError(f"body is none, buffered or streamed, not {self.config.body}")
        self.body = bodies.Body()

    def needs(self) -> Needs:
        mode = {"none": None, "buffered": buffered(self.config.limit), "streamed": streamed()}[self.config.body]
        return Needs(
            request_headers=["x-in", "authorization"],
            response_headers=["x-up"],
            request_body=mode,
            response_body=mode,
            client=True,
            all_request_headers=self.config.others,
        )

    def on_request(self, request: Request) -> Changes | Reply:
        action = request.path.rpartition("/")[2]
        self.body.begin(action)
        if action == "error":
            raise PluginError("as asked")
        faults.commit(action)
        reply = heads.answer(action, request) or capabilities.answer(action, request)
        return reply or _changes(action, request).state(f"{action} {request.id}")

    def on_request_body(self, chunk: bytes, last: bool) -> bytes | Reply | None:
        if self.body.action == "stop" and chunk.startswith(b"stop"):
            return Reply(409, "stopped")
        return self.body.chunk(chunk, last)

    def on_response(self, response: Response) -> ResponseChanges | Reply:
        state = (response.state or b"").decode()
        action = state.partition(" ")[0]
        self.body.begin(action)
        if action == "replace":
            return Reply(203, "replaced", [("x-a", "1")])
        return _response_changes(action, state, response)

    def on_response_body(self, chunk: bytes, last: bool) -> bytes | None:
        return self.body.chunk(chunk, last)


def _changes(action: str, request: Request) -> Changes:
    match action:
        case "edit":
            return heads.edit()
        case "binary":
            return heads.copy(request)
        case "rewrite":
            return Changes().set_method("PURGE").set_path_and_query("/changed?by=plugin")
        case "set-client":
            return Changes().set_client(heads.KIT)
        case "request-id":
            return Changes().set_request_id("kit-1")
        case "limit-body":
            return Changes().limit_body(10)
        case "upper":
            return bodies.upper(request)
        case "forbidden":
            return Changes().set_header("content-length", "1")
    return Changes()


def _response_changes(action: str, state: str, response: Response) -> ResponseChanges:
    changes = ResponseChanges()
    match action:
        case "state":
            return changes.set_header("x-state", state).set_header("x-id", response.id)
        case "status":
            return changes.set_header("x-seen", f"{response.status} {'|'.join(response.headers.get_all('x-up'))}").set_status(202)
        case "from-gateway":
            return changes.set_header("x-from-gateway", str(response.is_from_gateway).lower())
        case "upper" if response.body is not None:
            return changes.set_body(response.body.upper())
    return changes
