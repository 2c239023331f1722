// What the configured issuers say of opaque tokens (RFC 7662). The gateway asks and remembers. Grant: `introspection`.

import raw from "gatehouse:plugin/introspection@0.1.0";

import { type Bytes, encode } from "./bytes.ts";
import { raising } from "./capability.ts";
import type { Verified } from "./jwt.ts";

export type { Verified };

/**
 * Asks about a token. `issuers` are names from the configuration; none allows all that can be asked. CapabilityError
 * `malformed`, `unknown-issuer`, `inactive`, `expired`, `not-yet-valid`, `wrong-audience`, or `unavailable`: answer that
 * with 503, not 401.
 */
export function introspect(token: Bytes, issuers: string[] = [], claims: string[] = []): Verified {
  return raising(() => raw.introspect(encode(token), issuers, claims));
}
