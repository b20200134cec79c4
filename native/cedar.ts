import { hash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { PolicyEngine } from '#ledger/ports.ts';
import { Compiler } from './cedar-compiler.ts';
import { CedarModule, load } from './cedar-module.ts';

const MODULE = '@cedar-policy/cedar-wasm/nodejs';
const WASM = 'cedar_wasm_bg.wasm';

/**
 * Cedar behind the port. A decision takes it a third of a millisecond and more with hundreds of
 * policies, so each question is put to it only with the policies whose scope fits, and the answer
 * is kept for all questions that cannot have another one (`cedar-footprint.ts`).
 */
export function loadCedar(): PolicyEngine {
  const file = load.resolve(MODULE);
  const digest = hash('sha256', readFileSync(join(dirname(file), WASM))).slice(0, 16);
  const cedar = new CedarModule(file);
  const version = `cedar/${cedar.use((api) => api.getCedarVersion())}/${digest}`;
  const compiler = new Compiler(cedar);
  return { version, compile: (texts) => compiler.compile(texts) };
}
