/**
 * Seeds that are always played, and what each of them has now: a new kind of fault or habit may
 * change what a seed draws. Runs that must stay as they are stand in `regressions.ts`.
 */
export const SEEDS: readonly { readonly seed: number; readonly story: string }[] = [
  { seed: 5, story: 'alone, with a full disk and four blackouts' },
  { seed: 7, story: 'deaf nodes and blackouts, twins and references to blocks that nobody has' },
  { seed: 9, story: 'a failed sync, power cuts and two blackouts' },
  { seed: 23, story: 'clogs and a flapping link, and blocks that nobody can fetch' },
  { seed: 26, story: 'two validators run twice with one key: both halves decide, and it is seen' },
  { seed: 27, story: 'a late node, partitions, power cut at a write' },
  { seed: 32, story: 'a disk set back to a copy while nodes hear nobody' },
  { seed: 57, story: 'flapping, partitions, kills, full disks, clock steps and a traitor' },
];
