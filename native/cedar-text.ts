import { fail } from '#ledger/errors.ts';

/**
 * Cedar's parser is recursive and its stack in WebAssembly is one MiB: it broke down at 256 nested
 * parentheses, 128 nested sets or records, and chains of 512 operators (measured with 4.13.0).
 * What is refused here lies far below, so that no text can break the engine.
 */
const NESTING_MAX = 24;
/** Of `+ - * ! . && ||`, `if`, `when` and `unless` in one policy. */
const OPERATORS_MAX = 128;

/** Strings and comments, whose contents nest nothing. */
const OPAQUE = /"(?:[^"\\]|\\.)*"|\/\/[^\n\r]*/gs;

/** Throws `policy_schema_invalid` where a schema is nested too deep. */
export function assertShallowSchema(schema: string): void {
  if (deepestIn(schema.replaceAll(OPAQUE, '""'), '([{<', ')]}>') <= NESTING_MAX) return;
  const message = `The schema is nested deeper than ${NESTING_MAX}: name the inner types.`;
  fail('policy_schema_invalid', message);
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
