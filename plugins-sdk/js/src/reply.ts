// An answer by the plugin itself.

import { type Bytes, encode } from "./bytes.ts";
import { field } from "./headers.ts";
import type * as wit from "./wit.ts";

/** An answer by the plugin itself. The gateway adds the framing. */
export class Reply {
  /** @internal */
  readonly raw: wit.Reply;

  constructor(status: number, body: Bytes = "") {
    this.raw = { status, headers: [], body: encode(body) };
  }

  /** Adds a header line. */
  header(name: string, value: Bytes): this {
    this.raw.headers.push(field(name, value));
    return this;
  }
}

/** Answers now: later plugins and the upstream never see the request. `respond(401, "who are you?")`. */
export function respond(status: number, body: Bytes = "", headers: Record<string, Bytes> = {}): Reply {
  return Object.entries(headers).reduce((reply, [name, value]) => reply.header(name, value), new Reply(status, body));
}

/** Answers JSON. */
export function respondJson(status: number, value: unknown): Reply {
  return respond(status, JSON.stringify(value), { "content-type": "application/json" });
}

/** Answers a problem (RFC 9457), as the gateway itself does. */
export function problem(status: number, title: string, detail: string): Reply {
  const body = JSON.stringify({ type: "about:blank", title, status, detail });
  return respond(status, body, { "content-type": "application/problem+json" });
}
