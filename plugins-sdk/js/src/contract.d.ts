// The interfaces of `wit/` that a component may import, as the engine offers them. A `result` is returned or thrown.

declare module "gatehouse:plugin/about@0.1.0" {
  const about: { requestId(): string; clientAddress(): string };
  export default about;
}

declare module "gatehouse:plugin/log@0.1.0" {
  const log: { log(level: "debug" | "info" | "warn" | "error", message: string): void };
  export default log;
}

declare module "gatehouse:plugin/kv@0.1.0" {
  const kv: {
    get(key: string): Uint8Array | null;
    set(key: string, value: Uint8Array, ttlMs: number | null): void;
    delete(key: string): void;
    increment(key: string, delta: number, ttlMs: number | null): number;
  };
  export default kv;
}

declare module "gatehouse:plugin/jwt@0.1.0" {
  type Verified = { issuer: string; subject: string; scope: string; claims: (string | null)[] };
  const jwt: { verify(token: Uint8Array, issuers: string[], claims: string[]): Verified };
  export default jwt;
}

declare module "gatehouse:plugin/introspection@0.1.0" {
  type Verified = { issuer: string; subject: string; scope: string; claims: (string | null)[] };
  const introspection: { introspect(token: Uint8Array, issuers: string[], claims: string[]): Verified };
  export default introspection;
}

declare module "gatehouse:plugin/keys@0.1.0" {
  type Holder = { name: string; scopes: string[]; plan: string | null; keyId: string | null };
  const keys: { find(key: Uint8Array): Holder | null; findOf(name: string, key: Uint8Array): Holder | null };
  export default keys;
}

declare module "gatehouse:plugin/rate-limit@0.1.0" {
  type Key = { tag: "client" | "address" | "route" | "api-key" } | { tag: "text"; val: Uint8Array };
  type Policy = { name: string | null; rate: number; burst: number; strict: boolean };
  type Decision = { allowed: boolean; remaining: number; resetMs: number; retryAfterMs: number };
  const rateLimit: {
    take(policy: Policy, key: Key, cost: number): Decision;
    takeAll(charges: { policy: Policy; key: Key; cost: number }[]): Decision[];
    enter(name: string | null, key: Key, limit: number): boolean;
  };
  export default rateLimit;
}

declare module "gatehouse:plugin/http@0.1.0" {
  type Method = { tag: "get" | "head" | "post" | "put" | "delete" | "patch" | "options" } | { tag: "other"; val: string };
  type Field = { name: string; value: Uint8Array };
  type Request = {
    upstream: string;
    method: Method;
    pathWithQuery: string;
    headers: Field[];
    body: Uint8Array;
    timeoutMs: number | null;
  };
  type Response = { status: number; headers: Field[]; body: Uint8Array };
  const http: { fetch(request: Request): Response; fetchAll(requests: Request[]): ({ tag: "ok"; val: Response } | { tag: "err"; val: string })[] };
  export default http;
}

declare module "gatehouse:plugin/metrics@0.1.0" {
  type Label = { name: string; value: string };
  const metrics: {
    count(name: string, labels: Label[], by: number): void;
    gauge(name: string, labels: Label[], value: number): void;
    observe(name: string, labels: Label[], value: number): void;
  };
  export default metrics;
}
