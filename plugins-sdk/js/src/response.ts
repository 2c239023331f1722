// A response on its way to the client.

import about from "gatehouse:plugin/about@0.1.0";

import { decode } from "./bytes.ts";
import { clientOf, type ShownClient } from "./client.ts";
import { type Headers, shown } from "./headers.ts";
import type * as wit from "./wit.ts";

/** A response, as far as the plugin's `needs` show it. */
export class Response {
  readonly #raw: wit.Response;
  readonly headers: Headers;

  constructor(raw: wit.Response, declared: string[]) {
    this.#raw = raw;
    this.headers = shown(declared, raw.headers, raw.others);
  }

  /** The id of the request that it answers: 32 hexadecimal digits. */
  get id(): string {
    return about.requestId();
  }

  get status(): number {
    return this.#raw.status;
  }

  /** Who was authenticated by the plugins on the way in. */
  get client(): ShownClient | undefined {
    return clientOf(this.#raw.client);
  }

  /** What this plugin kept with `Changes.state` for this request. */
  get state(): Uint8Array | undefined {
    return this.#raw.state ?? undefined;
  }

  /** The same as text. */
  get stateText(): string | undefined {
    return this.#raw.state === null ? undefined : decode(this.#raw.state);
  }

  /** Whether the gateway made this answer itself: no route, no endpoint, a fault … */
  get isFromGateway(): boolean {
    return this.#raw.fromGateway;
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
