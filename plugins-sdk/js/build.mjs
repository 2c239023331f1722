#!/usr/bin/env node
// From a module to a component: `gatehouse-build src/plugin.ts -o plugin.wasm`. It is bundled by esbuild and put beside a
// QuickJS by componentize-qjs. The component imports the capabilities that the bundle imports, and no others, so that the
// operator grants what is used.

import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { existsSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

import { componentize } from "componentize-qjs";
import { build } from "esbuild";

const SDK = dirname(fileURLToPath(import.meta.url));
const WIT = resolve(SDK, "../../wit");
/** Base 64, in a source map. */
const DIGITS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const INTERFACE = /^gatehouse:plugin\/([a-z-]+)@/;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { output: { type: "string", short: "o", default: "plugin.wasm" } },
});
const source = positionals[0] ?? ["src/plugin.ts", "src/plugin.js", "plugin.ts", "plugin.js"].find(existsSync);
if (!source || !existsSync(source)) {
  console.error(`${source ?? "src/plugin.ts"}: no such file`);
  process.exit(2);
}

const work = await mkdtemp(join(tmpdir(), "gatehouse-build-"));
try {
  const { code, used } = await bundle(resolve(source));
  await contract(used);
  const { component } = await componentize({ witPath: join(work, "wit"), world: "plugin", jsSource: code, sync: true });
  await mkdir(dirname(resolve(values.output)), { recursive: true });
  await writeFile(values.output, component);
} catch (error) {
  // What esbuild finds in a source it has told already.
  if (!error.errors) console.error(String(error.message ?? error));
  process.exitCode = 1;
} finally {
  await rm(work, { recursive: true, force: true });
}

/** One module of the author's and the SDK's, and the interfaces that it imports. */
async function bundle(path) {
  const entry = `
    import make from ${JSON.stringify(path)};
    import { exportsOf } from ${JSON.stringify(join(SDK, "src/runtime.ts"))};
    const table = () => globalThis.gatehouseLines;
    export const { configSchema, configure, onRequest, onRequestBody, onResponse, onResponseBody } = exportsOf(make, table);
  `;
  const result = await build({
    stdin: { contents: entry, resolveDir: dirname(path), sourcefile: "gatehouse-entry.js", loader: "js" },
    bundle: true,
    write: false,
    metafile: true,
    format: "esm",
    platform: "neutral",
    mainFields: ["module", "main"],
    conditions: ["import"],
    target: "es2023",
    external: ["gatehouse:*"],
    plugins: [{ name: "sdk", setup: (esbuild) => esbuild.onResolve({ filter: /^gatehouse-plugin(\/|$)/ }, module) }],
    sourcemap: "external",
    outdir: work,
    logLevel: "warning",
  });
  const [map, code] = [".map", ".js"].map((ending) => result.outputFiles.find((file) => file.path.endsWith(ending)).text);
  const [output] = Object.values(result.metafile.outputs).filter((output) => output.entryPoint);
  const used = output.imports.map(({ path }) => INTERFACE.exec(path)?.[1]).filter(Boolean);
  return { code: `${code}\nglobalThis.gatehouseLines = ${JSON.stringify(lineTable(JSON.parse(map)))};\n`, used };
}

/** A module of the SDK, wherever the author's project lies: this SDK's. */
async function module({ path }) {
  const { exports } = JSON.parse(await readFile(join(SDK, "package.json"), "utf8"));
  const file = exports[path.replace("gatehouse-plugin", ".")];
  return file ? { path: join(SDK, file) } : { errors: [{ text: `the SDK has no ${path}; it has ${Object.keys(exports).join(", ")}` }] };
}

/** The contract, with a world that imports only what is used. */
async function contract(used) {
  await mkdir(join(work, "wit"));
  for (const name of await readdir(WIT)) {
    const text = await readFile(join(WIT, name), "utf8");
    const isUsed = (line) => !/^ {2}import ([a-z-]+);$/.test(line) || used.includes(line.trim().slice("import ".length, -1));
    await writeFile(join(work, "wit", name), name === "plugin.wit" ? text.split("\n").filter(isUsed).join("\n") : text);
  }
}

/** For each line of the bundle, where it comes from, if that is the author's: the first mapping of each line. */
function lineTable(map) {
  const files = map.sources.map((source) => relative(process.cwd(), resolve(work, source)));
  const isAuthors = files.map((file) => !resolve(file).startsWith(join(SDK, "src")) && !file.endsWith("gatehouse-entry.js"));
  let [file, line] = [0, 0];
  const lines = map.mappings.split(";").map((segments) => {
    let first;
    for (const segment of segments.split(",").filter(Boolean)) {
      const [, fileStep = 0, lineStep = 0] = numbers(segment);
      file += fileStep;
      line += lineStep;
      first ??= isAuthors[file] ? [file, line + 1] : [-1, 0];
    }
    return first ?? [-1, 0];
  });
  return { files, lines };
}

/** The numbers of a source map's segment: base 64, five bits a digit, the sign in the lowest. */
function numbers(segment) {
  const found = [];
  let [value, shift] = [0, 0];
  for (const digit of segment) {
    const bits = DIGITS.indexOf(digit);
    value |= (bits & 31) << shift;
    shift += 5;
    if (bits < 32) {
      found.push(value & 1 ? -(value >> 1) : value >> 1);
      [value, shift] = [0, 0];
    }
  }
  return found;
}
