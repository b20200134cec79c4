/**
 * One TypeScript file to JavaScript that counts in `globalThis.__coverage__`. Types are blanked,
 * not cut, so lines and columns stay. Results are kept under `node_modules/.cache`, named by the
 * hash of what they were made of.
 */
import { hash } from 'node:crypto';
import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { createRequire, stripTypeScriptTypes } from 'node:module';
import { join } from 'node:path';
import type { FileCoverage } from './coverage-counts.ts';
import { ROOT } from './coverage-scope.ts';

interface Instrumenter {
  instrumentSync(code: string, path: string): string;
  lastFileCoverage(): FileCoverage;
}

interface InstrumenterModule {
  readonly createInstrumenter: (options: object) => Instrumenter;
}

const CACHE = join(ROOT, 'node_modules', '.cache', 'x0t-coverage');
const OPTIONS = { esModules: true, compact: false, produceSourceMap: false };
const require = createRequire(import.meta.url);
const { version } = require('istanbul-lib-instrument/package.json') as { readonly version: string };

/** Throws a `SyntaxError` for a file that is not erasable TypeScript. */
export function instrument(path: string): string {
  return kept(path, 'js', (instrumenter, source) => instrumenter.instrumentSync(source, path));
}

/** Istanbul's map of the file with all counters at zero. Throws as `instrument`. */
export function emptyCoverage(path: string): FileCoverage {
  const made = kept(path, 'json', (instrumenter, source) => {
    instrumenter.instrumentSync(source, path);
    return JSON.stringify(instrumenter.lastFileCoverage());
  });
  return JSON.parse(made) as FileCoverage;
}

function kept(
  path: string,
  ending: string,
  make: (instrumenter: Instrumenter, source: string) => string,
): string {
  const source = readFileSync(path, 'utf8');
  const made = JSON.stringify([version, process.version, OPTIONS, path, source]);
  const cached = join(CACHE, `${hash('sha256', made)}.${ending}`);
  try {
    return readFileSync(cached, 'utf8');
  } catch {
    const { createInstrumenter } = require('istanbul-lib-instrument') as InstrumenterModule;
    const fresh = make(createInstrumenter(OPTIONS), stripQuietly(source));
    mkdirSync(CACHE, { recursive: true });
    writeFileSync(`${cached}.${process.pid}`, fresh);
    renameSync(`${cached}.${process.pid}`, cached);
    return fresh;
  }
}

/**
 * Without Node's warning that the function is experimental, which would reach children's stderr.
 */
function stripQuietly(source: string): string {
  // oxlint-disable-next-line typescript/unbound-method -- only put back, never called
  const { emitWarning } = process;
  process.emitWarning = () => undefined;
  try {
    return stripTypeScriptTypes(source);
  } finally {
    process.emitWarning = emitWarning;
  }
}
