// Actions that ask the gateway for something and answer what came of it.

import { CapabilityError, type Reply, type Request, respond } from "gatehouse-plugin";
import * as http from "gatehouse-plugin/http";
import * as introspection from "gatehouse-plugin/introspection";
import * as jwt from "gatehouse-plugin/jwt";
import * as keys from "gatehouse-plugin/keys";
import * as kv from "gatehouse-plugin/kv";
import * as log from "gatehouse-plugin/log";
import * as metrics from "gatehouse-plugin/metrics";
import * as rateLimit from "gatehouse-plugin/rate-limit";

/** Makes the calls of this action. The reply of one that answers; none for any other. */
export function capability(action: string, request: Request): Reply | undefined {
  const said = answer(action, request, request.headers.getBytes("x-in") ?? new Uint8Array());
  return said === undefined ? undefined : respond(200, said);
}

function answer(action: string, request: Request, given: Uint8Array): string | undefined {
  switch (action) {
    case "log":
      return say();
    case "metrics":
      return measure();
    case "kv":
      return store();
    case "jwt":
      return verified(() => jwt.verify(token(request), ["main"], ["role", "none"]));
    case "introspection":
      return verified(() => introspection.introspect(token(request), ["opaque"], ["role", "none"]));
    case "keys":
      return holder(given);
    case "rate-limit":
      return decided([1, 2, 3].map(() => rateLimit.take({ rate: 0.001, burst: 2 }, { text: given })));
    case "take-all":
      return takeAll({ text: given });
    case "enter":
      return [1, 2].map(() => rateLimit.enter("places", { text: given }, 1)).join(" ");
    case "http":
      return fetched("origin", given);
    case "http-dead":
      return fetched("dead", given);
    case "http-all":
      return fetchedAll();
    default:
      return undefined;
  }
}

/** What a call returns, as text, or the reason why it returned nothing. */
function outcome(call: () => unknown): string {
  try {
    return String(call() ?? "-");
  } catch (error) {
    if (error instanceof CapabilityError) return error.reason;
    throw error;
  }
}

function say(): undefined {
  log.debug("kit debug");
  log.info("kit info");
  log.warn("kit warn");
  log.error("kit error");
}

function measure(): undefined {
  metrics.count("kit_seen", { kind: "a" }, 2);
  metrics.gauge("kit_level", 1.5);
  metrics.observe("kit_seconds", 0.25);
}

function store(): string {
  const done = (call: () => void) => outcome(() => (call(), "ok"));
  kv.remove("k");
  kv.remove("n");
  return [
    outcome(() => kv.getText("k")),
    done(() => kv.set("k", "v", 60)),
    outcome(() => kv.getText("k")),
    outcome(() => kv.increment("n", 2)),
    outcome(() => kv.increment("n", 3)),
    outcome(() => kv.increment("k", 1)),
    done(() => kv.set("big", new Uint8Array(2 << 20))),
    done(() => kv.remove("k")),
    outcome(() => kv.getText("k")),
  ].join(" ");
}

function token(request: Request): string {
  const line = request.headers.get("authorization") ?? "";
  return line.startsWith("Bearer ") ? line.slice("Bearer ".length) : "";
}

function verified(verify: () => jwt.Verified): string {
  return outcome(() => {
    const { issuer, subject, scope, claims } = verify();
    return [issuer, subject, scope, ...claims.map((claim) => claim ?? "-")].join(" ");
  });
}

function holder(key: Uint8Array): string {
  const found = keys.find(key);
  const said = found ? `${found.name} ${found.scopes.join(",")} ${found.plan ?? "-"} ${found.keyId ?? "-"}` : "-";
  return `${said}/${keys.findOf("acme", key)?.name ?? "-"}`;
}

function takeAll(key: rateLimit.Key): string {
  const [one, two] = ["one", "two"].map((name) => ({ name, rate: 0.001, burst: 2 })) as [rateLimit.Policy, rateLimit.Policy];
  return decided(rateLimit.takeAll([{ policy: one, key, cost: 1 }, { policy: two, key, cost: 2 }]));
}

function decided(decisions: rateLimit.Decision[]): string {
  return decisions.map(({ allowed, remaining }) => `${allowed} ${remaining}`).join(",");
}

function fetched(upstream: string, given: Uint8Array): string {
  return outcome(() => {
    const headers = { "x-sent": given };
    const response = http.fetch({ upstream, pathAndQuery: "/fetched?q=1", method: "POST", headers, body: "question", timeout: 5 });
    return `${response.status} ${response.headers.get("x-up") ?? "-"} ${response.text()}`;
  });
}

function fetchedAll(): string {
  const requests = [["origin", "/one"], ["origin", "/two"], ["secret", "/three"]] as const;
  const results = http.fetchAll(requests.map(([upstream, pathAndQuery]) => ({ upstream, pathAndQuery })));
  return results.map((result) => (result instanceof CapabilityError ? result.reason : `${result.status} ${result.text()}`)).join(",");
}
