// A store in memory, shared by all instances of one plugin on this gateway and seen by no other plugin. Grant: `kv`.
// It has a quota in bytes (1 MiB by default), counting keys, values and 64 bytes for each entry.

import raw from "gatehouse:plugin/kv@0.1.0";

import { type Bytes, decode, encode } from "./bytes.ts";
import { milliseconds, raising } from "./capability.ts";

export function get(key: string): Uint8Array | undefined {
  return raw.get(key) ?? undefined;
}

export function getText(key: string): string | undefined {
  const value = raw.get(key);
  return value === null ? undefined : decode(value);
}

/** Writes a value, for `ttl` seconds or until it is deleted. CapabilityError `quota`: nothing was changed. */
export function set(key: string, value: Bytes, ttl?: number): void {
  raising(() => raw.set(key, encode(value), milliseconds(ttl)));
}

export function remove(key: string): void {
  raw.delete(key);
}

/**
 * Adds to a counter atomically and returns its new value, exact up to 2^53; one that is not there starts at 0. The time to
 * live is set when the counter starts and stays as it is. CapabilityError `quota` or `not-a-counter`.
 */
export function increment(key: string, delta = 1, ttl?: number): number {
  return raising(() => raw.increment(key, delta, milliseconds(ttl)));
}
