/**
 * One TypeScript file to JavaScript that counts in `globalThis.__coverage__`. Types are blanked,
 * not cut, so lines and columns stay. Results are kept under `node_modules/.cache`, named by the
 * hash of what they were made of.
 */
import { hash } from 'node:crypto';
import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { createRequire, stripTypeScriptTypes } from 'node:module';
import { join } from 'node:path';
import { ROOT } from './coverage-scope.ts';

export interface Instrumented {
  readonly code: string;
  /** Istanbul's map of the file with all counters at zero. */
  readonly coverage: object;
}

interface Instrumenter {
  instrumentSync(code: string, path: string): string;
  lastFileCoverage(): object;
}

interface InstrumenterModule {
  readonly createInstrumenter: (options: object) => Instrumenter;
}

const CACHE = join(ROOT, 'node_modules', '.cache', 'x0t-coverage');
const OPTIONS = { esModules: true, compact: false, produceSourceMap: false };
const require = createRequire(import.meta.url);
const { version } = require('istanbul-lib-instrument/package.json') as { readonly version: string };

/** Throws a `SyntaxError` for a file that is not erasable TypeScript. */
export function instrument(path: string): Instrumented {
  const source = readFileSync(path, 'utf8');
  const made = JSON.stringify([version, process.version, OPTIONS, path, source]);
  const cached = join(CACHE, `${hash('sha256', made)}.json`);
  try {
    return JSON.parse(readFileSync(cached, 'utf8')) as Instrumented;
  } catch {
    const fresh = instrumentSource(source, path);
    mkdirSync(CACHE, { recursive: true });
    writeFileSync(`${cached}.${process.pid}`, JSON.stringify(fresh));
    renameSync(`${cached}.${process.pid}`, cached);
    return fresh;
  }
}

function instrumentSource(source: string, path: string): Instrumented {
  const { createInstrumenter } = require('istanbul-lib-instrument') as InstrumenterModule;
  const instrumenter = createInstrumenter(OPTIONS);
  const code = instrumenter.instrumentSync(stripQuietly(source), path);
  return { code, coverage: instrumenter.lastFileCoverage() };
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
