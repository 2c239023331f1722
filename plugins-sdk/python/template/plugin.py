"""`{{name}}`: greets the upstream on every request, and answers `/hello` itself."""

from dataclasses import dataclass

from gatehouse_plugin import Changes, Plugin, Reply, Request, export


@dataclass
class Config:
    greeting: str = "hello"


@export
class {{Name}}(Plugin):
    config: Config

    def on_request(self, request: Request) -> Changes | Reply:
        if request.path == "/hello":
            return Reply(200, f"{self.config.greeting} from {{name}}\n", [("content-type", "text/plain; charset=utf-8")])
        return Changes().set_header("x-greeting", self.config.greeting)
