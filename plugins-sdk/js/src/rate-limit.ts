// Token buckets and places, exact over all workers of this gateway. Grant: `rate-limit`.

import raw from "gatehouse:plugin/rate-limit@0.1.0";

import { type Bytes, encode } from "./bytes.ts";

/** Whose bucket. `client` is the authenticated client, or its address where there is none; `route` is everybody. */
export type Key = "client" | "address" | "route" | "api-key" | { text: Bytes };

/** How fast a bucket fills, and what it holds. */
export interface Policy {
  /** Tokens added each second. */
  rate: number;
  /** What the bucket holds, at least 1. */
  burst: number;
  /** Policies of one name share their buckets over all routes; without one they belong to this use of the plugin. */
  name?: string;
  /** In a fleet: the shared counter is asked each time. */
  strict?: boolean;
}

/** What came of a take. */
export interface Decision {
  allowed: boolean;
  /** Whole tokens left. */
  remaining: number;
  /** Milliseconds until there is a whole token more. */
  resetMs: number;
  /** Milliseconds until this call would be allowed; 0 if it was. */
  retryAfterMs: number;
}

/** One of several takes. */
export interface Charge {
  policy: Policy;
  key?: Key;
  cost?: number;
}

/** Takes `cost` tokens if they are there; takes none if not. */
export function take(policy: Policy, key: Key = "client", cost = 1): Decision {
  return raw.take(rawPolicy(policy), rawKey(key), cost);
}

/** Takes from several buckets, 8 at most: from all of them, or, if one has too little, from none. */
export function takeAll(charges: Charge[]): Decision[] {
  return raw.takeAll(charges.map(({ policy, key = "client", cost = 1 }) => ({ policy: rawPolicy(policy), key: rawKey(key), cost })));
}

/** Takes one of `limit` places and holds it until the response was sent. False if all are taken. */
export function enter(name: string | undefined, key: Key, limit: number): boolean {
  return raw.enter(name ?? null, rawKey(key), limit);
}

function rawPolicy({ name, rate, burst, strict }: Policy) {
  return { name: name ?? null, rate, burst, strict: strict ?? false };
}

function rawKey(key: Key) {
  return typeof key === "string" ? { tag: key } : { tag: "text" as const, val: encode(key.text) };
}
