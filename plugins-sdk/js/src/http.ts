// HTTP calls to named upstreams, by the same pools, balancing and timeouts as proxied requests. Grant: `http: [orders]`.
// A call simply blocks; the gateway suspends the instance and serves others meanwhile.

import raw from "gatehouse:plugin/http@0.1.0";

import { type Bytes, decode, encode } from "./bytes.ts";
import { CapabilityError, milliseconds, raising } from "./capability.ts";
import { field, Headers } from "./headers.ts";
import { rawMethod } from "./method.ts";
import type { Field } from "./wit.ts";

/** A request to an upstream. */
export interface Request {
  /** One of those granted. */
  upstream: string;
  pathAndQuery: string;
  /** GET where it is left out. */
  method?: string;
  headers?: Record<string, Bytes>;
  body?: Bytes;
  /** Seconds, for the whole call. The plugin's own wall limit applies as well. */
  timeout?: number;
}

/** What an upstream answered. */
export class Response {
  readonly status: number;
  readonly headers: Headers;
  readonly body: Uint8Array;

  constructor(status: number, headers: Field[], body: Uint8Array) {
    this.status = status;
    this.headers = new Headers(headers.map(({ name, value }) => ({ name: name.toLowerCase(), value })));
    this.body = body;
  }

  text(): string {
    return decode(this.body);
  }

  /** The body as JSON. SyntaxError if it is none. */
  json(): unknown {
    return JSON.parse(this.text());
  }
}

/** Sends a request. CapabilityError `denied`, `bad-request`, `unreachable`, `timeout`, `reset` or `too-large`. */
export function fetch(request: Request): Response {
  const { status, headers, body } = raising(() => raw.fetch(rawRequest(request)));
  return new Response(status, headers, body);
}

/** Sends all requests at once (16 at most) and returns when each has ended, in their order. */
export function fetchAll(requests: Request[]): (Response | CapabilityError)[] {
  return raw.fetchAll(requests.map(rawRequest)).map((result) => {
    if (result.tag === "err") return new CapabilityError(result.val);
    return new Response(result.val.status, result.val.headers, result.val.body);
  });
}

function rawRequest({ upstream, pathAndQuery, method, headers, body, timeout }: Request) {
  return {
    upstream,
    method: rawMethod(method ?? "GET"),
    pathWithQuery: pathAndQuery,
    headers: Object.entries(headers ?? {}).map(([name, value]) => field(name, value)),
    body: encode(body ?? ""),
    timeoutMs: milliseconds(timeout),
  };
}
