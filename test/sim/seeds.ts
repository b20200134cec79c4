import type { ScenarioOptions } from './scenario.ts';

/**
 * Seeds that are always played, and what each of them has now: a new kind of fault or habit may
 * change what a seed draws. Runs that must stay as they are stand in `regressions.ts`.
 */
export const SEEDS: readonly {
  readonly seed: number;
  /** All of what the seed draws where it is not given. */
  readonly options?: ScenarioOptions;
  readonly story: string;
}[] = [
  { seed: 5, story: 'alone, with a full disk and four blackouts' },
  { seed: 7, story: 'deaf nodes and blackouts, twins and references to blocks that nobody has' },
  { seed: 9, story: 'a failed sync, power cuts and two blackouts' },
  { seed: 23, story: 'clogs and a flapping link, and blocks that nobody can fetch' },
  { seed: 26, story: 'two validators run twice with one key: both halves decide, and it is seen' },
  { seed: 27, story: 'a late node, partitions, power cut at a write' },
  { seed: 32, story: 'a disk set back to a copy while nodes hear nobody' },
  { seed: 57, story: 'flapping, partitions, kills, full disks, clock steps and a traitor' },
  {
    seed: 404,
    options: { snapshots: 'story' },
    story: 'power cuts while a snapshot is fetched and put in place, out of reach of the archives',
  },
  {
    seed: 514,
    options: { snapshots: 'story' },
    story: 'an observer comes late on links that lose much, and takes a snapshot',
  },
  {
    seed: 100,
    options: { snapshots: 'more' },
    story: 'seven that prune, on links that lose one message in five',
  },
  {
    seed: 2001546,
    options: { keep: [0, 5], load: 169 },
    story: 'a node that prunes loses power while events wait whose number seems used',
  },
  {
    seed: 2001780,
    options: { keep: [0, 3, 6], load: 64 },
    story: 'the disk fails when a snapshot is sealed',
  },
  {
    seed: 104,
    options: { snapshots: 'more', lives: 'some' },
    story: 'epochs end high up while one was away long: blocks stand on its late ones',
  },
  {
    seed: 208,
    options: { snapshots: 'story', lives: 'some' },
    story: 'guests and nodes come and go, one loses its key, and most prune',
  },
  {
    seed: 348,
    options: { validators: 1, lives: 'some' },
    story: 'alone with guests: a key rotates, rules deny, and what is not legal is ordered',
  },
  {
    seed: 5,
    options: { validators: 4, lives: 'some' },
    story: 'a member is cordoned and removed, keys rotate, rules deny and permit',
  },
];
