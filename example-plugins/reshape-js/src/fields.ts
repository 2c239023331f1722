// Fields of JSON documents by path. A path goes through lists: `items.price` is the price of each item.

export type Json = null | boolean | number | string | Json[] | { [name: string]: Json };

type JsonObject = { [name: string]: Json };

/** A document with these fields only. */
export function pick(document: Json, paths: string[][]): Json {
  if (Array.isArray(document)) return document.map((item) => pick(item, paths));
  if (!isObject(document)) return document;
  const kept: JsonObject = {};
  for (const [name, value] of Object.entries(document)) {
    const below = paths.filter(([first]) => first === name).map(([, ...rest]) => rest);
    if (below.some((rest) => rest.length === 0)) set(kept, name, value);
    else if (below.length > 0) set(kept, name, pick(value, below));
  }
  return kept;
}

/** Removes a field. */
export function drop(document: Json, path: string[]): void {
  for (const [parent, name] of places(document, path)) delete parent[name];
}

/** Gives a field another name, in the place where it stands. */
export function rename(document: Json, path: string[], name: string): void {
  for (const [parent, old] of places(document, path)) {
    const fields = Object.entries(parent).filter(([field]) => field !== name || old === name);
    for (const field of Object.keys(parent)) delete parent[field];
    for (const [field, value] of fields) set(parent, field === old ? name : field, value);
  }
}

/** The objects that have the field of that path, with its name. */
function places(document: Json, [name, ...rest]: string[]): [JsonObject, string][] {
  if (Array.isArray(document)) return document.flatMap((item) => places(item, [name!, ...rest]));
  if (!isObject(document) || !Object.hasOwn(document, name!)) return [];
  return rest.length === 0 ? [[document, name!]] : places(document[name!]!, rest);
}

function isObject(value: Json): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Writes a field, also one named `__proto__`. */
function set(object: JsonObject, name: string, value: Json): void {
  Object.defineProperty(object, name, { value, writable: true, enumerable: true, configurable: true });
}
