// HTTP methods, as text for authors and as cases for the contract.

import type { Method } from "./wit.ts";

const CASES = ["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"];
const RAW = new Map(CASES.map((name) => [name, { tag: name.toLowerCase() } as Method]));

/** As text. */
export function methodName(method: Method): string {
  return method.tag === "other" ? method.val : method.tag.toUpperCase();
}

/** As the contract has it. */
export function rawMethod(name: string): Method {
  return RAW.get(name) ?? { tag: "other", val: name };
}
