// The reference plugin of the conformance kit, as `tests/conformance/README.md` describes it.

import { buffered, type Changes, decode, definePlugin, type Needs, next, nextResponse, type Request, respond, type Response, streamed } from "gatehouse-plugin";

import { type Body, chunkOf, upper, uppercase } from "./bodies.ts";
import { capability } from "./capabilities.ts";
import { commit } from "./faults.ts";
import { copy, edit, head, KIT } from "./heads.ts";

interface Config {
  body?: string;
  limit?: number;
  others?: boolean;
}

export default definePlugin<Config>(({ body = "none", limit = 1000, others = false }) => {
  const modes: Record<string, Needs["requestBody"]> = { none: { tag: "none" }, buffered: buffered(limit), streamed };
  const mode = modes[body];
  if (!mode) throw new Error(`body is none, buffered or streamed, not ${body}`);
  // The chunks of one body reach the instance that saw the phase before them.
  const passing: Body = { action: "", held: [] };

  return {
    needs: {
      requestHeaders: ["x-in", "authorization"],
      responseHeaders: ["x-up"],
      requestBody: mode,
      responseBody: mode,
      client: true,
      allRequestHeaders: others,
    },

    onRequest(request) {
      const action = request.path.slice(request.path.lastIndexOf("/") + 1);
      Object.assign(passing, { action, held: [] });
      if (action === "error") throw new Error("as asked");
      commit(action);
      return head(action, request) ?? capability(action, request) ?? changes(action, request).state(`${action} ${request.id}`);
    },

    onRequestBody(chunk, last) {
      if (passing.action === "stop" && decode(chunk).startsWith("stop")) return respond(409, "stopped");
      return chunkOf(passing, chunk, last);
    },

    onResponse(response) {
      const state = response.stateText ?? "";
      const action = state.split(" ", 1)[0]!;
      Object.assign(passing, { action, held: [] });
      if (action === "replace") return respond(203, "replaced", { "x-a": "1" });
      return responseChanges(action, state, response);
    },

    onResponseBody(chunk, last) {
      return chunkOf(passing, chunk, last);
    },
  };
});

function changes(action: string, request: Request): Changes {
  switch (action) {
    case "edit":
      return edit();
    case "binary":
      return copy(request);
    case "rewrite":
      return next().setMethod("PURGE").setPathAndQuery("/changed?by=plugin");
    case "set-client":
      return next().setClient(KIT);
    case "request-id":
      return next().setRequestId("kit-1");
    case "limit-body":
      return next().limitBody(10);
    case "upper":
      return upper(request);
    case "forbidden":
      return next().setHeader("content-length", "1");
    default:
      return next();
  }
}

function responseChanges(action: string, state: string, response: Response) {
  switch (action) {
    case "state":
      return nextResponse().setHeader("x-state", state).setHeader("x-id", response.id);
    case "status":
      return nextResponse().setHeader("x-seen", `${response.status} ${response.headers.getAll("x-up").join("|")}`).setStatus(202);
    case "from-gateway":
      return nextResponse().setHeader("x-from-gateway", String(response.isFromGateway));
    case "upper":
      return response.body ? nextResponse().setBody(uppercase(response.body)) : nextResponse();
    default:
      return nextResponse();
  }
}
