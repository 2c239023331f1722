"""Actions on heads: headers, method, path, client, and answers of the plugin's own."""

from gatehouse_plugin import Changes, Client, Reply, Request, ResponseChanges

KIT = Client("kit", "reference", scopes=["a", "b"], plan="gold")


def answer(action: str, request: Request) -> Reply | None:
    """The reply of an action that answers; None for any other."""
    match action:
        case "describe":
            return Reply(200, f"{request.method} {request.scheme} {request.path_and_query} {request.address}")
        case "multi":
            return Reply(200, "|".join(request.headers.get_all("x-in")) if "x-in" in request.headers else "-")
        case "others":
            return Reply(200, "\n".join(sorted(f"{name}: {value}" for name, value in request.headers.items())))
        case "client":
            return Reply(200, _client(request.client) if request.client else "nobody")
        case "set-client" if request.client:
            return Reply(200, _client(request.client))
        case "respond":
            return Reply(418, "short and stout", [("x-a", "1"), ("x-a", "2")])
        case "nothing":
            return Reply(204)
        case "bytes":
            return Reply(200, bytes(range(256)) * 1000, [("content-type", "application/octet-stream")])
        case "problem":
            return Reply.problem(403, "Forbidden", 'as "asked"')
    return None


def _client(client: Client) -> str:
    return f"{client.name} {client.method} {','.join(client.scopes)} {client.plan or '-'}"


def edit() -> Changes:
    """The changes of `edit`."""
    late = ResponseChanges().set_header("x-late", "1").add_header("x-late", "2").remove_header("x-gone")
    changes = Changes().set_header("x-in", "new").add_header("x-out", "one").add_header("x-out", "two")
    return changes.remove_header("x-gone").on_response(late)


def copy(request: Request) -> Changes:
    """The changes of `binary`."""
    value = request.headers.get_bytes("x-in") or b""
    return Changes().set_header("x-out", value).on_response_set_header("x-out", value)
