/** Seeds that are always played, and what each of them has. */
export const SEEDS: readonly { readonly seed: number; readonly story: string }[] = [
  { seed: 5, story: 'alone, with a full disk and four blackouts' },
  { seed: 9, story: 'a failed sync, power cuts and two blackouts' },
  { seed: 12, story: 'a traitor replays events, sends stale blocks and lies about the time' },
  { seed: 14, story: 'seven: power cut at a write, deaf nodes, a clock that steps' },
  { seed: 23, story: 'clogs and a flapping link, and blocks that nobody can fetch' },
  { seed: 24, story: 'a disk set back to a copy while links flap' },
  { seed: 26, story: 'partitions' },
];
