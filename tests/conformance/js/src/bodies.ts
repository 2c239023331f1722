// Actions on bodies, whole and in chunks.

import { type Changes, encode, next, type Request } from "gatehouse-plugin";

/** A streamed body under way. */
export interface Body {
  action: string;
  held: Uint8Array[];
}

/** What becomes of the next chunk. */
export function chunkOf(body: Body, chunk: Uint8Array, last: boolean): Uint8Array | undefined {
  if (body.action === "upper") return last ? joined([uppercase(chunk), encode("<end>")]) : uppercase(chunk);
  if (body.action !== "hold") return undefined;
  body.held.push(chunk);
  return last ? joined(body.held) : new Uint8Array();
}

/** In capitals: ASCII only. */
export function uppercase(bytes: Uint8Array): Uint8Array {
  return bytes.map((byte) => (byte >= 0x61 && byte <= 0x7a ? byte - 0x20 : byte));
}

/** The changes of `upper` to a request. */
export function upper({ body }: Request): Changes {
  return body ? next().setHeader("x-length", String(body.length)).setBody(uppercase(body)) : next().setHeader("x-length", "-");
}

function joined(parts: Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((length, part) => length + part.length, 0));
  let place = 0;
  for (const part of parts) {
    whole.set(part, place);
    place += part.length;
  }
  return whole;
}
