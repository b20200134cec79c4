import { fail } from '#ledger/errors.ts';

/**
 * Cedar's parser is recursive and its stack in WebAssembly is one MiB: it broke down at 256 nested
 * parentheses, 128 nested sets or records, and chains of 512 operators (measured with 4.13.0).
 * What is refused here lies far below, so that no text can break the engine.
 */
const NESTING_MAX = 24;
/** Of `+ - * ! . && ||`, `if`, `when` and `unless` in one policy. */
const OPERATORS_MAX = 128;

/** Of a schema whose lists of declared names are spelled out: several times its own bound. */
const SPELLED_OUT_MAX = 128 * 1024;

/** What a type or an action is in, or applies to. */
const LISTS = /\[[^\]]*\]/g;
/** A further name of a declaration: no attribute, which is followed by its type. */
const NEXT_NAME = /,[\s\u0085]*(?:\w+|"")[\s\u0085]*(?![\s\u0085\w:?"])/g;
/** Strings and comments, whose contents nest nothing. */
const OPAQUE = /"(?:[^"\\]|\\.)*"|\/\/[^\n\r]*/gs;

/** Throws `policy_schema_invalid` where a schema nests too deep, or stands for too long a one. */
export function assertShallowSchema(schema: string): void {
  const code = schema.replaceAll(OPAQUE, (part) => (part.startsWith('"') ? '""' : ' '));
  if (deepestIn(code, '([{<', ')]}>') > NESTING_MAX) {
    const message = `The schema is nested deeper than ${NESTING_MAX}: name the inner types.`;
    fail('policy_schema_invalid', message);
  }
  if (spelledOut(code) <= SPELLED_OUT_MAX) return;
  const message = 'The schema declares too many types or actions with long declarations at once.';
  fail('policy_schema_invalid', message);
}

/**
 * Characters of a schema in which each type and action has a declaration of its own: one for a list
 * of names says the same of all of them, and Cedar's JSON of it says so each time. A comma outside
 * of lists that no attribute follows stands between two such names.
 */
function spelledOut(code: string): number {
  let length = 0;
  const pieces = code.replace(LISTS, (list) => list.replaceAll(',', ' ')).split(';');
  for (const piece of pieces) {
    let names = 1;
    let own = 0;
    for (const [match] of piece.matchAll(NEXT_NAME)) {
      names += 1;
      own += match.length;
    }
    length += own + names * (piece.length - own);
  }
  return length;
}

function deepestIn(code: string, opening: string, closing: string): number {
  let depth = 0;
  let deepest = 0;
  for (const char of code) {
    if (opening.includes(char)) deepest = Math.max(deepest, (depth += 1));
    else if (closing.includes(char)) depth -= 1;
  }
  return deepest;
}

/** Throws `policy_invalid` where a text is nested too deep or has too long chains. */
export function assertShallow(policy: string, text: string): void {
  const code = text.replaceAll(OPAQUE, '""');
  const operators = code.match(/[-+*!.]|&&|\|\||\b(?:if|when|unless)\b/g)?.length ?? 0;
  if (deepestIn(code, '([{', ')]}') > NESTING_MAX || operators > OPERATORS_MAX) {
    const message =
      `The policy ${policy} is nested deeper than ${NESTING_MAX}, ` +
      `or has more than ${OPERATORS_MAX} operators: make several policies of it.`;
    fail('policy_invalid', message, { policy });
  }
}

/** A clause of a policy: from its keyword to behind its last brace. */
export interface Clause {
  readonly kind: string;
  readonly start: number;
  readonly end: number;
}

const CLAUSE = /\b(when|unless)[\s\u0085]*\{/y;

/** The clauses of a policy, in order. An annotation may have their names: it has no brace. */
export function clausesOf(text: string): Clause[] {
  // as long as the text itself
  const code = text.replaceAll(OPAQUE, (part) =>
    part.startsWith('"') ? `"${'_'.repeat(part.length - 2)}"` : ' '.repeat(part.length),
  );
  const clauses: Clause[] = [];
  let depth = 0;
  let begun: Omit<Clause, 'end'> | undefined;
  for (let at = 0; at < code.length; at++) {
    const char = code.charAt(at);
    if (depth === 0) {
      CLAUSE.lastIndex = at;
      const [, kind] = CLAUSE.exec(code) ?? [];
      if (kind !== undefined) begun = { kind, start: at };
    }
    if ('([{'.includes(char)) depth += 1;
    else if (')]}'.includes(char)) depth -= 1;
    if (depth !== 0 || char !== '}' || !begun) continue;
    clauses.push({ ...begun, end: at + 1 });
    begun = undefined;
  }
  return clauses;
}
