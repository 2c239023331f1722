// Lines for the gateway's log. Each carries the plugin's name, its version and the request id by itself. Grant: `log`.

import raw from "gatehouse:plugin/log@0.1.0";

export const debug = (message: string): void => raw.log("debug", message);
export const info = (message: string): void => raw.log("info", message);
export const warn = (message: string): void => raw.log("warn", message);
export const error = (message: string): void => raw.log("error", message);
