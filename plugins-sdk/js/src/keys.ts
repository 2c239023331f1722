// Look-up of API keys. The gateway keeps only their digests. Grant: `keys`.
// None stands for a key that is malformed, unknown, expired or revoked, or whose client is disabled: answer each alike, or
// callers learn which keys exist.

import raw from "gatehouse:plugin/keys@0.1.0";

import { type Bytes, encode } from "./bytes.ts";

/** The client that holds a key. */
export interface Holder {
  name: string;
  /** What this key may do. */
  scopes: string[];
  plan: string | null;
  keyId: string | null;
}

/** The holder of this key. When the plugin then lets the request go on, it is the authenticated client. */
export function find(key: Bytes): Holder | undefined {
  return raw.find(encode(key)) ?? undefined;
}

/** The same, if the holder is the client of this name: a name and a password. */
export function findOf(name: string, key: Bytes): Holder | undefined {
  return raw.findOf(name, encode(key)) ?? undefined;
}
