import { readFile } from 'node:fs/promises';

/** `store.claimed`: what is remembered of a store beside it, so that it outlives it. */

/** What the file says after so many starts. */
export function claimedText(starts: number): string {
  return `The store beside this file has been used. Starts: ${starts}\n`;
}

/** How many starts it says; 0 where there is none, or one without a number. */
export async function notedStarts(claimed: string): Promise<number> {
  const text = await readFile(claimed, 'utf8').catch(() => '');
  return Number(/Starts: (\d+)/.exec(text)?.[1] ?? 0);
}
