// Reshapes JSON answers: keeps some fields, drops some, renames some. In a list, each item is reshaped.

import { buffered, definePlugin, nextResponse } from "gatehouse-plugin";

import { drop, type Json, pick, rename } from "./fields.ts";

interface Config {
  /** Paths to keep, such as `user.name`; all where it is left out. */
  pick?: string[];
  /** Paths to drop, after that. */
  drop?: string[];
  /** New names of fields, by their paths. */
  rename?: Record<string, string>;
  /** The longest body that is reshaped, in bytes; a longer one is answered with 502. */
  limit?: number;
}

export default definePlugin<Config>(({ pick: kept, drop: dropped = [], rename: renamed = {}, limit = 1 << 20 }) => {
  const paths = (texts: string[]) => texts.map((text) => text.split("."));
  const [keep, remove] = [kept && paths(kept), paths(dropped)];
  const names = Object.entries(renamed).map(([path, name]) => ({ path: path.split("."), name }));

  const reshape = (whole: Json): Json => {
    const document = keep ? pick(whole, keep) : whole;
    for (const path of remove) drop(document, path);
    for (const { path, name } of names) rename(document, path, name);
    return document;
  };

  return {
    needs: { responseBody: buffered(limit), bodyTypes: ["application/json", "*/*+json"] },

    onResponse(response) {
      if (!response.body?.length || response.isFromGateway) return;
      try {
        return nextResponse().setBody(JSON.stringify(reshape(response.json() as Json)));
      } catch (error) {
        // What says that it is JSON and is none passes as it is.
        if (error instanceof SyntaxError) return;
        throw error;
      }
    },
  };
});
