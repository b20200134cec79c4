/**
 * Which licences a package of the image may have. An SPDX expression passes when one side of each
 * OR, and both sides of each AND, do.
 */
export const ALLOWED: ReadonlySet<string> = new Set([
  '0BSD',
  'Apache-2.0',
  'BSD-2-Clause',
  'BSD-3-Clause',
  'BlueOak-1.0.0',
  'CC0-1.0',
  'ISC',
  'MIT',
  'Unlicense',
]);

/** Whether an expression of names, AND, OR and parentheses passes. Anything else does not. */
export function isAllowed(expression: string): boolean {
  const tokens = expression.match(/[()]|[^\s()]+/g) ?? [];
  let at = 0;
  const either = (): boolean => {
    let passes = both();
    while (tokens[at] === 'OR') {
      at += 1;
      const other = both();
      passes = passes || other;
    }
    return passes;
  };
  const both = (): boolean => {
    let passes = one();
    while (tokens[at] === 'AND') {
      at += 1;
      const other = one();
      passes = passes && other;
    }
    return passes;
  };
  const one = (): boolean => {
    const token = tokens[at];
    at += 1;
    if (token !== '(') return token !== undefined && ALLOWED.has(token);
    const passes = either();
    if (tokens[at] !== ')') return false;
    at += 1;
    return passes;
  };
  const passes = either();
  return passes && at === tokens.length;
}
