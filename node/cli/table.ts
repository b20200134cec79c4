/** What stands in a cell where there is nothing. */
export const NOTHING = '-';

/**
 * Lines of a table: the head, then one for each row. Texts to the left, the columns that `numbers`
 * names to the right.
 */
export function tableLines(
  head: readonly string[],
  rows: readonly (readonly string[])[],
  numbers: readonly string[] = [],
): string[] {
  const all = [head, ...rows];
  const widths = head.map((_, column) => Math.max(...all.map((row) => row[column]?.length ?? 0)));
  const isNumber = new Set(numbers);
  return all.map((row) =>
    head
      .map((name, column) => {
        const [cell, width] = [row[column] ?? '', widths[column] ?? 0];
        return isNumber.has(name) ? cell.padStart(width) : cell.padEnd(width);
      })
      .join('  ')
      .trimEnd(),
  );
}

/** The same as one text. */
export function table(...parts: Parameters<typeof tableLines>): string {
  return `${tableLines(...parts).join('\n')}\n`;
}
