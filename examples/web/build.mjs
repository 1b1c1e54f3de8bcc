// Builds the page into trio_server/static, which `atrium dev` serves at /demo.
//
//   node build.mjs [--outdir DIR] [--watch]
//
// The result is flat: index.html, app.js, app.css, icon.svg, and the licences of what was bundled.

import { copyFileSync, existsSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import * as esbuild from "esbuild";

const here = dirname(fileURLToPath(import.meta.url));
const { values: flags } = parseArgs({ options: { outdir: { type: "string" }, watch: { type: "boolean" } } });
const outdir = resolve(flags.outdir ?? join(here, "../../trio_server/static"));

/** The licences of the packages that the bundle has code of, and of those that they were themselves built from. */
function licences(inputs) {
  const names = new Set();
  const add = (name) => {
    if (names.has(name) || !existsSync(join(here, "node_modules", name))) return;
    names.add(name);
    Object.keys(manifest(name).dependencies ?? {}).forEach(add);
  };
  for (const path of Object.keys(inputs)) {
    const found = /^node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(path);
    if (found) add(found[1]);
  }
  return [...names].sort().map((name) => {
    const { version, license } = manifest(name);
    const folder = join(here, "node_modules", name);
    const file = readdirSync(folder).find((each) => /^licen[cs]e/i.test(each));
    const text = file ? readFileSync(join(folder, file), "utf8").trim() : "";
    return `${name} ${version} (${license ?? "see below"})\n\n${text}\n`;
  }).join(`\n${"-".repeat(80)}\n\n`);
}

const manifest = (name) => JSON.parse(readFileSync(join(here, "node_modules", name, "package.json"), "utf8"));

const finish = {
  name: "finish",
  setup(build) {
    build.onEnd(({ errors, metafile }) => {
      if (errors.length || !metafile) return;
      writeFileSync(join(outdir, "licenses.txt"), licences(metafile.inputs));
      for (const file of ["icon.svg", "index.html"]) copyFileSync(join(here, "src", file), join(outdir, file));
      const kilobytes = Math.round(metafile.outputs[Object.keys(metafile.outputs).find((o) => o.endsWith("app.js"))].bytes / 1024);
      console.log(`demo page built in ${outdir} (app.js ${kilobytes} kB)`);
    });
  },
};

if (!flags.watch && existsSync(outdir)) rmSync(outdir, { recursive: true });
mkdirSync(outdir, { recursive: true });

const options = {
  absWorkingDir: here,
  entryPoints: { app: "src/main.ts" },
  bundle: true,
  format: "esm",
  target: ["es2022", "chrome105", "firefox110", "safari16"],
  minify: !flags.watch,
  sourcemap: flags.watch ? "inline" : false,
  legalComments: "none",
  metafile: true,
  logLevel: "warning",
  outdir,
  plugins: [finish],
};

if (flags.watch) {
  await (await esbuild.context(options)).watch();
} else {
  await esbuild.build(options);
}
