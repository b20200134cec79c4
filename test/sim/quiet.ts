import type { Fault } from './faults.ts';
import type { LoadName, LoadOp } from './load.ts';
import type { Scenario } from './scenario.ts';

/** What regressions are made of. */

/** A run that once failed, or that shows one thing well, and what it is about. */
export interface Regression {
  readonly story: string;
  readonly scenario: Scenario;
  /** Validators that come back after their disk was set back; none where it is not given. */
  readonly returned?: number;
  /** Epochs that it goes through, beyond the first. */
  readonly epochs?: number;
  /** So many events about members and rules at least, by kind (`Outcome.lives`). */
  readonly lives?: Readonly<Record<string, number>>;
}

/** A quiet network to which a story adds its faults. */
export function quiet(changes: Partial<Scenario>): Scenario {
  return {
    seed: 1,
    validators: 4,
    observers: 0,
    traitors: [],
    clones: [],
    link: { delay_ms: [1, 5], loss: 0, duplicate: 0 },
    disk: { write_ms: 0, sync_ms: 2 },
    skew_ms: [],
    config: {},
    duration_ms: 2000,
    verify_ms: 0,
    faults: [],
    load: steady(20, ['put', 'client']),
    isReal: false,
    ...changes,
  };
}

/** `count` operations over two seconds, at all nodes of a committee of four. */
export function steady(count: number, kinds: readonly LoadName[], nodes = 4): LoadOp[] {
  return Array.from({ length: count }, (_, i) => ({
    at_ms: Math.floor((2000 * i) / count),
    kind: kinds[i % kinds.length] ?? 'put',
    node: i % nodes,
    key: `k${i % 5}`,
    value: `${i}`,
  }));
}

export function fault(
  kind: Fault['kind'],
  at_ms: number,
  for_ms: number,
  nodes: readonly number[] = [],
  amount = 0,
): Fault {
  return { kind, at_ms, for_ms, nodes, amount };
}
