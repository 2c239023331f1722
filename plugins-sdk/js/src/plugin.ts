// What a plugin is.

import type { Bytes } from "./bytes.ts";
import type { Changes, ResponseChanges } from "./changes.ts";
import type { Needs } from "./needs.ts";
import type { Reply } from "./reply.ts";
import type { Request } from "./request.ts";
import type { Response } from "./response.ts";

/**
 * One configured use of a plugin. Keep nothing that another call must find: the next phase may run on another instance.
 * `Changes.state` goes to this request's response phase; `kv` is shared by all.
 */
export interface Plugin {
  /** What it wants to see; nothing else is shown. */
  needs?: Needs;
  /** Decides about a request. Nothing returned lets it go on as it is. */
  onRequest?(request: Request): Changes | Reply | void;
  /** One chunk of a streamed body. Nothing passes it on, bytes go in its place, a reply ends the request here. */
  onRequestBody?(chunk: Uint8Array, last: boolean): Bytes | Reply | void;
  /** Decides about a response on its way back. */
  onResponse?(response: Response): ResponseChanges | Reply | void;
  /** One chunk of a streamed body. Nothing passes it on, bytes go in its place. */
  onResponseBody?(chunk: Uint8Array, last: boolean): Bytes | void;
}

/** Makes a plugin of its configuration. An error that it throws refuses the configuration. */
export type Definition<Config> = (config: Config) => Plugin;

/**
 * A module's plugin: `export default definePlugin<Config>((config) => ({ onRequest(request) { … } }))`.
 * The function runs once for each instance, off the request path: parse and build tables there. What a configuration may
 * be is said in `config.schema.json`, which the gateway checks.
 */
export function definePlugin<Config = Record<string, never>>(make: Definition<Config>): Definition<Config> {
  return make;
}
