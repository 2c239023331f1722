// The smallest useful plugin in TypeScript: says hello to the upstream and to the client.

import { definePlugin, next } from "gatehouse-plugin";

export default definePlugin(() => ({
  onRequest(request) {
    return next().setHeader("x-hello-from", request.address).onResponseSetHeader("x-hello", "world");
  },
}));
