// Write a Gatehouse plugin in TypeScript or JavaScript: one function, and a module for each capability:
// `gatehouse-plugin/log`, `kv`, `jwt`, `introspection`, `keys`, `rate-limit`, `http`, `metrics`.

export { type Bytes, decode, encode } from "./bytes.ts";
export { CapabilityError } from "./capability.ts";
export { Changes, next, nextResponse, ResponseChanges } from "./changes.ts";
export type { Client } from "./client.ts";
export type { Headers } from "./headers.ts";
export { type BodyMode, buffered, type Needs, streamed } from "./needs.ts";
export { type Definition, definePlugin, type Plugin } from "./plugin.ts";
export { problem, Reply, respond, respondJson } from "./reply.ts";
export type { Request } from "./request.ts";
export type { Response } from "./response.ts";
