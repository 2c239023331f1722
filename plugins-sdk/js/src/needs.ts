// What a plugin declares it needs to see.

import type * as wit from "./wit.ts";

/** How a plugin wants a body: `buffered(bytes)` or `streamed`. */
export type BodyMode = wit.BodyMode;

/** The whole body, in one piece. One longer than so many bytes is answered with 413, or 502 on its way back. */
export function buffered(limit: number): BodyMode {
  return { tag: "buffered", val: limit };
}

/** The body chunk by chunk, as it passes. */
export const streamed: BodyMode = { tag: "streamed" };

/** What a plugin needs to see; nothing else is shown to it. Less is faster. The phases follow from its functions. */
export interface Needs {
  /** `host` stands for HTTP/2's `:authority` too. */
  requestHeaders?: string[];
  responseHeaders?: string[];
  requestBody?: BodyMode;
  responseBody?: BodyMode;
  /** Media types of the bodies to show, such as `application/json` or `text/*`; none for all. */
  bodyTypes?: string[];
  /** Who was authenticated by the plugins before this one. */
  client?: boolean;
  /** The client with its token's claims. */
  claims?: boolean;
  allRequestHeaders?: boolean;
  allResponseHeaders?: boolean;
}

export function rawNeeds(needs: Needs, phases: wit.Needs["phases"]): wit.Needs {
  const lower = (names: string[] = []) => names.map((name) => name.toLowerCase());
  return {
    phases,
    requestHeaders: lower(needs.requestHeaders),
    responseHeaders: lower(needs.responseHeaders),
    requestBody: needs.requestBody ?? { tag: "none" },
    responseBody: needs.responseBody ?? { tag: "none" },
    bodyTypes: needs.bodyTypes ?? [],
    wants: {
      client: Boolean(needs.client || needs.claims),
      claims: Boolean(needs.claims),
      allRequestHeaders: Boolean(needs.allRequestHeaders),
      allResponseHeaders: Boolean(needs.allResponseHeaders),
    },
  };
}
