/**
 * Just enough of a scanner to look at TypeScript without its comments and to find what it imports.
 */

export interface Import {
  readonly line: number;
  readonly specifier: string;
  /** Imported names; `*` for everything, none for a bare or dynamic import. */
  readonly names: readonly string[];
}

/** Comments, strings and regular expressions; only comments are blanked. */
const LEXEMES = new RegExp([
  String.raw`\/\*[\s\S]*?\*\/`,
  String.raw`\/\/[^\n]*`,
  String.raw`'(?:\\.|[^'\\\n])*'`,
  String.raw`"(?:\\.|[^"\\\n])*"`,
  '`(?:\\\\[\\s\\S]|[^`\\\\])*`',
  String.raw`(?<=[=(,:[!&|?{};]\s*)\/(?:\\.|\[(?:\\.|[^\]\\\n])*\]|[^/\\\n[])+\/`,
].join('|'), 'g');

const CLAUSE = String.raw`(?:type\s+)?([\w$*{}\s,]*?)\s*\bfrom\s*`;
const IMPORTS = new RegExp(
  String.raw`\b(?:import|export)\s+${CLAUSE}'([^']+)'|\bimport\s*\(?\s*'([^']+)'`,
  'g',
);

/** The text with every comment replaced by blanks, so that offsets and lines stay. */
export function blankComments(text: string): string {
  return text.replace(LEXEMES, (lexeme) => (
    lexeme.startsWith('//') || lexeme.startsWith('/*') ? lexeme.replace(/[^\n]/g, ' ') : lexeme
  ));
}

/** The line, from 1, of an offset. */
export function lineAt(text: string, offset: number): number {
  return text.slice(0, offset).split('\n').length;
}

/** Static imports, re-exports, and dynamic imports of a literal. */
export function importsOf(text: string): Import[] {
  const code = blankComments(text);
  return [...code.matchAll(IMPORTS)].map((match) => ({
    line: lineAt(code, match.index),
    specifier: match[2] ?? match[3] ?? '',
    names: namesIn(match[1] ?? ''),
  }));
}

function namesIn(clause: string): string[] {
  return clause
    .split(/[{},]/)
    .map((name) => name.trim().replace(/^type\s+/, '').split(/\s+as\s+/)[0] ?? '')
    .filter((name) => name !== '');
}
