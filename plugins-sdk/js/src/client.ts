// Who a request is from.

import type * as wit from "./wit.ts";

/** An authenticated caller. */
export interface Client {
  /** The configured client's name, or the token's subject. */
  name: string;
  /** Which way it was authenticated: `api-key`, `basic-auth`, `jwt`, `introspection`, or what a plugin said. */
  method: string;
  /** The issuer of the token, where there was one. */
  issuer?: string;
  scopes?: string[];
  /** The plan of a configured client, where it has one. */
  plan?: string;
  /** The token's claims, for a plugin that needs them. */
  claims?: Record<string, unknown>;
}

/** A client as it is shown: with its scopes, of which there may be none. */
export type ShownClient = Client & { scopes: string[] };

export function clientOf(raw: wit.Client | null): ShownClient | undefined {
  if (raw === null) return undefined;
  const { name, method, issuer, scopes, plan, claims } = raw;
  return { name, method, issuer: issuer ?? undefined, scopes, plan: plan ?? undefined, claims: claims === null ? undefined : JSON.parse(claims) };
}

export function rawClient({ name, method, issuer, scopes, plan, claims }: Client): wit.Client {
  return { name, method, issuer: issuer ?? null, scopes: scopes ?? [], plan: plan ?? null, claims: claims ? JSON.stringify(claims) : null };
}
