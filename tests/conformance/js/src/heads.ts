// Actions on heads: headers, method, path, client, and answers of the plugin's own.

import { type Changes, type Client, next, nextResponse, problem, type Reply, type Request, respond } from "gatehouse-plugin";

/** The client that `set-client` makes. */
export const KIT: Client = { name: "kit", method: "reference", scopes: ["a", "b"], plan: "gold" };

/** The reply of an action that answers; none for any other. */
export function head(action: string, request: Request): Reply | undefined {
  const { client } = request;
  switch (action) {
    case "describe":
      return respond(200, `${request.method} ${request.scheme} ${request.pathAndQuery} ${request.address}`);
    case "multi": {
      const lines = request.headers.getAll("x-in");
      return respond(200, lines.length ? lines.join("|") : "-");
    }
    case "others":
      return respond(200, [...request.headers].map(([name, value]) => `${name}: ${value}`).sort().join("\n"));
    case "client":
      return respond(200, client ? described(client) : "nobody");
    case "set-client":
      return client && respond(200, described(client));
    case "respond":
      return respond(418, "short and stout").header("x-a", "1").header("x-a", "2");
    case "nothing":
      return respond(204);
    case "bytes":
      return respond(200, new Uint8Array(256_000).map((_, place) => place), { "content-type": "application/octet-stream" });
    case "problem":
      return problem(403, "Forbidden", 'as "asked"');
    default:
      return undefined;
  }
}

function described({ name, method, scopes, plan }: Client): string {
  return `${name} ${method} ${scopes?.join(",")} ${plan ?? "-"}`;
}

/** The changes of `edit`. */
export function edit(): Changes {
  const late = nextResponse().setHeader("x-late", "1").addHeader("x-late", "2").removeHeader("x-gone");
  return next().setHeader("x-in", "new").addHeader("x-out", "one").addHeader("x-out", "two").removeHeader("x-gone").onResponse(late);
}

/** The changes of `binary`. */
export function copy(request: Request): Changes {
  const value = request.headers.getBytes("x-in") ?? "";
  return next().setHeader("x-out", value).onResponseSetHeader("x-out", value);
}
