// `{{name}}`: greets the upstream on every request, and answers `/hello` itself.

import { definePlugin, next, respond } from "gatehouse-plugin";

interface Config {
  greeting?: string;
}

export default definePlugin<Config>(({ greeting = "hello" }) => ({
  onRequest(request) {
    if (request.path === "/hello") {
      return respond(200, `${greeting} from {{name}}\n`, { "content-type": "text/plain; charset=utf-8" });
    }
    return next().setHeader("x-greeting", greeting);
  },
}));
