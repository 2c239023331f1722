// Header lines. Values are bytes (RFC 9110 §5.5); as text they are UTF-8.

import { type Bytes, decode, encode } from "./bytes.ts";
import type { Field, Header } from "./wit.ts";

/** The header lines that a plugin is shown, in order. Names are looked up in any case. */
export class Headers implements Iterable<[string, string]> {
  readonly #lines: Field[];

  constructor(lines: Field[]) {
    this.#lines = lines;
  }

  /** The first line of that name, as text. */
  get(name: string): string | undefined {
    const value = this.getBytes(name);
    return value && decode(value);
  }

  /** The first line of that name. */
  getBytes(name: string): Uint8Array | undefined {
    const wanted = name.toLowerCase();
    return this.#lines.find((line) => line.name === wanted)?.value;
  }

  /** All lines of that name, as text. */
  getAll(name: string): string[] {
    const wanted = name.toLowerCase();
    return this.#lines.filter((line) => line.name === wanted).map((line) => decode(line.value));
  }

  has(name: string): boolean {
    return this.getBytes(name) !== undefined;
  }

  /** Every line: its name in lower case, and its value as text. */
  *[Symbol.iterator](): Iterator<[string, string]> {
    for (const line of this.#lines) yield [line.name, decode(line.value)];
  }
}

/** The headers that were declared, then all others if they were asked for. */
export function shown(declared: string[], headers: Header[], others: Field[] | null): Headers {
  const lines = headers.map(({ index, value }) => ({ name: declared[index]!, value }));
  return new Headers(others ? lines.concat(others) : lines);
}

/** A header line to write. */
export function field(name: string, value: Bytes): Field {
  return { name, value: encode(value) };
}
