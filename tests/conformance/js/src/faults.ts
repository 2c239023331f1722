// Ways to end a call badly.

/** Does the bad thing of this name; returns if there is none. */
export function commit(action: string): void {
  if (action === "trap") (undefined as unknown as () => void)();
  if (action === "loop") for (;;);
  if (action === "memory") for (const held: Uint8Array[] = []; ; ) held.push(new Uint8Array(1 << 20).fill(1));
}
