/**
 * Compares the error codes that the sources throw with the table in `docs/errors.md`. Run as a
 * program it prints the difference and ends with 1 if there is one.
 */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { projectFiles } from './project-files.ts';
import { blankComments, lineAt } from './source-text.ts';

export interface CodeUse {
  readonly code: string;
  readonly file: string;
  readonly line: number;
}

/** Codes of an event's verdict are data, not errors, and have their own table. */
const FOLDERS = ['ledger', 'p2p', 'node', 'native', 'projections', 'governance'];
const DOCUMENT = join(import.meta.dirname, '..', '..', 'docs', 'errors.md');
const THROWN = /\b(?:fail|refusal|new\s+(?:X0tError|StateRefusal))\(\s*'([^']*)'/g;
const ROW = /^\|\s*`([^`]+)`\s*\|([^|]*)\|([^|]*)\|\s*$/gm;

/** Every `fail('code'`, `refusal('code'` and `new X0tError('code'` of one file. */
export function codesIn(file: string, text: string): CodeUse[] {
  const code = blankComments(text);
  return [...code.matchAll(THROWN)]
    .map((match) => ({ code: match[1] ?? '', file, line: lineAt(code, match.index) }));
}

/** Those of all product folders, in the order of the files. */
export function usedCodes(): CodeUse[] {
  return projectFiles(['.ts'], FOLDERS).flatMap(({ file, text }) => codesIn(file, text));
}

/**
 * The codes of the table's complete rows, in their order; a row with an empty cell does not count.
 */
export function documentedCodes(markdown: string): string[] {
  return [...markdown.matchAll(ROW)]
    .filter((row) => row[2]?.trim() !== '' && row[3]?.trim() !== '')
    .map((row) => row[1] ?? '');
}

export function readDocument(): string {
  return existsSync(DOCUMENT) ? readFileSync(DOCUMENT, 'utf8') : '';
}

/** One line per code that is thrown and not documented, or documented and never thrown. */
export function differences(used: readonly CodeUse[], documented: readonly string[]): string[] {
  const codes = new Set(used.map(({ code }) => code));
  const missing = used
    .filter(({ code }, index) => used.findIndex((other) => other.code === code) === index)
    .filter(({ code }) => !documented.includes(code))
    .map(({ code, file, line }) => `${file}:${line}: add a row for \`${code}\` to docs/errors.md`);
  const unknown = documented
    .filter((code) => !codes.has(code))
    .map((code) => `docs/errors.md: remove the row of \`${code}\`, which nothing throws`);
  return [...missing, ...unknown];
}

if (import.meta.main) {
  const found = differences(usedCodes(), documentedCodes(readDocument()));
  console.log(found.length === 0 ? 'docs/errors.md is complete' : found.join('\n'));
  process.exitCode = found.length === 0 ? 0 : 1;
}
