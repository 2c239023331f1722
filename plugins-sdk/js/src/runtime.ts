// The world's exports, on top of the module's plugin. What an author throws becomes a fault that names the line.

import { encode } from "./bytes.ts";
import { Changes, ResponseChanges } from "./changes.ts";
import { rawNeeds } from "./needs.ts";
import type { Definition, Plugin } from "./plugin.ts";
import { seed } from "./random.ts";
import { Reply } from "./reply.ts";
import { Request } from "./request.ts";
import { Response } from "./response.ts";
import type * as wit from "./wit.ts";

const PASS: wit.ChunkVerdict = { tag: "pass" };

/** The exports of a component with this plugin. */
export function exportsOf(make: Definition<never>, lines: LineTable) {
  let plugin: Plugin = {};
  let needs: wit.Needs;

  return guarded(lines, {
    configSchema(): string | null {
      return null;
    },

    configure(config: string): wit.Needs {
      plugin = make(JSON.parse(config) as never);
      needs = rawNeeds(plugin.needs ?? {}, phases(plugin));
      return needs;
    },

    onRequest(raw: wit.Request): wit.RequestVerdict {
      seed();
      const verdict = plugin.onRequest?.(new Request(raw, needs.requestHeaders)) ?? new Changes();
      if (verdict instanceof Changes) return { tag: "next", val: verdict.raw() };
      if (verdict instanceof Reply) return { tag: "respond", val: verdict.raw };
      throw new TypeError("onRequest returns next(), respond() or nothing");
    },

    onRequestBody(chunk: Uint8Array, last: boolean): wit.ChunkVerdict {
      return chunkVerdict(plugin.onRequestBody?.(chunk, last));
    },

    onResponse(raw: wit.Response): wit.ResponseVerdict {
      seed();
      const verdict = plugin.onResponse?.(new Response(raw, needs.responseHeaders)) ?? new ResponseChanges();
      if (verdict instanceof ResponseChanges) return { tag: "next", val: verdict.edits };
      if (verdict instanceof Reply) return { tag: "respond", val: verdict.raw };
      throw new TypeError("onResponse returns nextResponse(), respond() or nothing");
    },

    onResponseBody(chunk: Uint8Array, last: boolean): wit.ChunkVerdict {
      return chunkVerdict(plugin.onResponseBody?.(chunk, last));
    },
  });
}

function phases(plugin: Plugin): wit.Needs["phases"] {
  const response = Boolean(plugin.onResponse || plugin.onResponseBody);
  const request = Boolean(plugin.onRequest || plugin.onRequestBody);
  return { request: request || !response, response };
}

function chunkVerdict(verdict: Uint8Array | string | Reply | void): wit.ChunkVerdict {
  if (verdict === undefined) return PASS;
  if (verdict instanceof Reply) return { tag: "respond", val: verdict.raw };
  return { tag: "replace", val: encode(verdict) };
}

/** For each line of the bundle, the source's line that it comes from: `[file, line]`, or none. */
export type LineTable = () => { files: string[]; lines: [number, number][] };

type Exports = Record<string, (...given: never[]) => unknown>;

/** The same functions, whose errors are told with the author's file and line. */
function guarded<E extends Exports>(table: LineTable, functions: E): E {
  const guard = (call: E[string]) => (...given: never[]) => {
    try {
      return call(...given);
    } catch (error) {
      throw described(error, table);
    }
  };
  return Object.fromEntries(Object.entries(functions).map(([name, call]) => [name, guard(call as E[string])])) as E;
}

/** What the log is told: a string, which the engine hands over as the call's `err`. */
function described(error: unknown, table: LineTable): string {
  if (!(error instanceof Error)) return String(error);
  const text = error.name === "Error" ? error.message : `${error.name}: ${error.message}`;
  const place = placeOf(error.stack ?? "", table());
  return place ? `${text} (${place})` : text;
}

/** The innermost line that is the author's. */
function placeOf(stack: string, { files, lines }: ReturnType<LineTable>): string | undefined {
  for (const [, line] of stack.matchAll(/:(\d+):\d+\)?$/gm)) {
    const [file, at] = lines[Number(line) - 1] ?? [-1, 0];
    if (file >= 0) return `${files[file]}:${at}`;
  }
  return undefined;
}
