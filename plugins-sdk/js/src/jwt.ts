// Verification of JSON Web Tokens by the gateway, with the keys of the configured issuers. Grant: `jwt`.

import raw from "gatehouse:plugin/jwt@0.1.0";

import { type Bytes, encode } from "./bytes.ts";
import { raising } from "./capability.ts";

/** What a token says. */
export interface Verified {
  issuer: string;
  subject: string;
  /** Separated by spaces. */
  scope: string;
  /** Those asked for, in that order: a string as it is, any other value as JSON. */
  claims: (string | null)[];
}

/**
 * Verifies a token. `issuers` are names from the configuration; none allows them all. When the plugin then lets the request
 * go on, its subject is the authenticated client. CapabilityError `malformed`, `unknown-issuer`, `bad-signature`, `expired`,
 * `not-yet-valid`, `wrong-audience`, `bad-claims`, or `keys-unavailable`: answer that with 503, not 401.
 */
export function verify(token: Bytes, issuers: string[] = [], claims: string[] = []): Verified {
  return raising(() => raw.verify(encode(token), issuers, claims));
}
