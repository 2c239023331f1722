// A request on its way to the upstream.

import about from "gatehouse:plugin/about@0.1.0";

import { decode } from "./bytes.ts";
import { clientOf, type ShownClient } from "./client.ts";
import { type Headers, shown } from "./headers.ts";
import { methodName } from "./method.ts";
import type * as wit from "./wit.ts";

/** A request, as far as the plugin's `needs` show it. */
export class Request {
  readonly #raw: wit.Request;
  readonly headers: Headers;

  constructor(raw: wit.Request, declared: string[]) {
    this.#raw = raw;
    this.headers = shown(declared, raw.headers, raw.others);
  }

  /** The request id: 32 hexadecimal digits. */
  get id(): string {
    return about.requestId();
  }

  get method(): string {
    return methodName(this.#raw.method);
  }

  get scheme(): "http" | "https" {
    return this.#raw.scheme;
  }

  get pathAndQuery(): string {
    return this.#raw.pathWithQuery;
  }

  get path(): string {
    return this.#raw.pathWithQuery.split("?", 1)[0]!;
  }

  /** What follows the `?`. */
  get query(): string {
    const mark = this.#raw.pathWithQuery.indexOf("?");
    return mark < 0 ? "" : this.#raw.pathWithQuery.slice(mark + 1);
  }

  /** The client's address. */
  get address(): string {
    return about.clientAddress();
  }

  /** Who was authenticated by the plugins before this one. */
  get client(): ShownClient | undefined {
    return clientOf(this.#raw.client);
  }

  /** The whole body, if the plugin needs it buffered and it is of one of the types to show. */
  get body(): Uint8Array | undefined {
    return this.#raw.body ?? undefined;
  }

  /** The body as text. */
  text(): string {
    return decode(this.#raw.body ?? new Uint8Array());
  }

  /** The body as JSON. SyntaxError if it is none. */
  json(): unknown {
    return JSON.parse(this.text());
  }
}
