// Errors of capabilities: with the contract's own word for what went wrong.

/** What a capability refused. */
export class CapabilityError extends Error {
  /** The case in `wit/`, such as `bad-signature`. */
  readonly reason: string;

  constructor(reason: string) {
    super(reason);
    this.name = "CapabilityError";
    this.reason = reason;
  }
}

/** A case as the contract writes it. The engine throws an error whose message is one. */
const WORD = /^[a-z]+(-[a-z]+)*$/;

/** Calls, and throws what the call refuses. */
export function raising<Value>(call: () => Value): Value {
  try {
    return call();
  } catch (thrown) {
    const message = thrown instanceof Error ? thrown.message : String(thrown);
    throw WORD.test(message) ? new CapabilityError(message) : thrown;
  }
}

/** Seconds as the contract counts time. */
export function milliseconds(seconds: number | undefined): number | null {
  return seconds === undefined ? null : Math.round(seconds * 1000);
}
