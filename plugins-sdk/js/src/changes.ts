// What a plugin does to a request or a response that goes on.

import { type Bytes, encode } from "./bytes.ts";
import { type Client, rawClient } from "./client.ts";
import { field } from "./headers.ts";
import { rawMethod } from "./method.ts";
import type * as wit from "./wit.ts";

/** A response goes on to the client, with these changes in this order. */
export class ResponseChanges {
  /** @internal */
  readonly edits: wit.ResponseEdit[] = [];

  /** Replaces every line of that name by this one. */
  setHeader(name: string, value: Bytes): this {
    return this.#add({ tag: "set-header", val: field(name, value) });
  }

  /** Adds a line and keeps those that are there. */
  addHeader(name: string, value: Bytes): this {
    return this.#add({ tag: "add-header", val: field(name, value) });
  }

  removeHeader(name: string): this {
    return this.#add({ tag: "remove-header", val: name });
  }

  setStatus(status: number): this {
    return this.#add({ tag: "set-status", val: status });
  }

  /** Replaces the body. Only for a plugin that needs it buffered. */
  setBody(body: Bytes): this {
    return this.#add({ tag: "set-body", val: encode(body) });
  }

  /** Replaces the body by JSON, and says so in `content-type`. */
  setJson(value: unknown): this {
    return this.setHeader("content-type", "application/json").setBody(JSON.stringify(value));
  }

  /** Limits the body to so many bytes. */
  limitBody(bytes: number): this {
    return this.#add({ tag: "limit-body", val: bytes });
  }

  #add(edit: wit.ResponseEdit): this {
    this.edits.push(edit);
    return this;
  }
}

/** A request goes on to the next plugin, then the upstream, with these changes in this order. */
export class Changes {
  readonly #edits: wit.Edit[] = [];
  readonly #response = new ResponseChanges();
  #state: Uint8Array | null = null;

  /** Replaces every line of that name by this one. */
  setHeader(name: string, value: Bytes): this {
    return this.#add({ tag: "set-header", val: field(name, value) });
  }

  /** Adds a line and keeps those that are there. */
  addHeader(name: string, value: Bytes): this {
    return this.#add({ tag: "add-header", val: field(name, value) });
  }

  removeHeader(name: string): this {
    return this.#add({ tag: "remove-header", val: name });
  }

  setMethod(method: string): this {
    return this.#add({ tag: "set-method", val: rawMethod(method) });
  }

  /** A path that starts with `/`, with its query. The route stays as it was chosen. */
  setPathAndQuery(pathAndQuery: string): this {
    return this.#add({ tag: "set-path-with-query", val: pathAndQuery });
  }

  /** Replaces the body. Only for a plugin that needs it buffered, or a request that has none. */
  setBody(body: Bytes): this {
    return this.#add({ tag: "set-body", val: encode(body) });
  }

  /** Replaces the body by JSON, and says so in `content-type`. */
  setJson(value: unknown): this {
    return this.setHeader("content-type", "application/json").setBody(JSON.stringify(value));
  }

  /** Says who the caller is. Needs the grant `identity`. */
  setClient(client: Client): this {
    return this.#add({ tag: "set-client", val: rawClient(client) });
  }

  /** Replaces the request id in logs and in the gateway's own answers: 1 to 128 visible ASCII characters. */
  setRequestId(id: string): this {
    return this.#add({ tag: "set-request-id", val: id });
  }

  /** Lowers the limit on the request body to so many bytes. */
  limitBody(bytes: number): this {
    return this.#add({ tag: "limit-body", val: bytes });
  }

  /** Changes whatever response comes back. A plugin that only decorates responses needs no response phase. */
  onResponse(changes: ResponseChanges): this {
    this.#response.edits.push(...changes.edits);
    return this;
  }

  /** Sets a header of whatever response comes back. */
  onResponseSetHeader(name: string, value: Bytes): this {
    this.#response.setHeader(name, value);
    return this;
  }

  /** Adds a header line to whatever response comes back. */
  onResponseAddHeader(name: string, value: Bytes): this {
    this.#response.addHeader(name, value);
    return this;
  }

  /** Is handed back as `Response.state`; 64 KiB at most. */
  state(state: Bytes): this {
    this.#state = encode(state);
    return this;
  }

  /** @internal */
  raw(): wit.Changes {
    return { request: this.#edits, response: this.#response.edits, state: this.#state };
  }

  #add(edit: wit.Edit): this {
    this.#edits.push(edit);
    return this;
  }
}

/** Lets a request go on, with the changes that follow: `next().setHeader("x-from", "here")`. */
export function next(): Changes {
  return new Changes();
}

/** Lets a response go on, with the changes that follow. */
export function nextResponse(): ResponseChanges {
  return new ResponseChanges();
}
