import type { Entry } from '#ledger/event.ts';
import { storeKeys } from '#ledger/keys.ts';
import type { OrderedEvent } from '#ledger/projection.ts';
import type { Schema } from '#ledger/reducer.ts';
import { codeOf } from '#ledger/errors.ts';
import { rebuildProjections } from '#node/rebuild.ts';
import { MemoryStore } from '#test/support/memory-store.ts';
import type { SimNode } from './node.ts';
import type { World } from './world.ts';

/**
 * A node whose state is not what the log gives: it must notice, make nothing final any more, go on
 * accepting, and be mended by a rebuild; the others go on (docs/receipts.md, "When nodes differ").
 */
export interface Defect {
  readonly node: number;
  /** `fold`: its software computes some values wrongly; `row`: its disk changes a row. */
  readonly kind: 'fold' | 'row';
  /** When the row changes; from the start on where the software is at fault. */
  readonly at_ms: number;
  /** The key whose row changes. */
  readonly key: string;
}

/** Every event of a number like this is folded wrongly. */
const WRONG_EVERY = 5;
/** From the end of the load until the node has to know, and until an event of it is final. */
const NOTICE_MS = 40_000;
const ACCEPTED_MS = 60_000;
const START_MS = 5000;

type Wait = (limit_ms: number, isDone: () => boolean) => Promise<boolean>;

/** The projections with a bug: what some events put is another value. */
function faulty(healthy: Schema): Schema {
  const spoilt = (ordered: OrderedEvent): OrderedEvent => {
    const { event, seq } = ordered;
    if (event.kind !== 'kv.put/1' || seq % WRONG_EVERY !== 2) return ordered;
    return { ...ordered, event: { ...event, body: { ...event.body, value: Uint8Array.of(66) } } };
  };
  const projections = healthy.projections.map((one) =>
    one.name === 'kv'
      ? { ...one, apply: (ordered, rows) => one.apply(spoilt(ordered), rows) } satisfies typeof one
      : one,
  );
  return { ...healthy, projections };
}

/** Puts the defect in place. */
export function beginDefect(world: World): void {
  const { defect } = world.scenario;
  if (!defect) return;
  const node = world.at(defect.node);
  if (defect.kind === 'fold') node.schema = faulty(node.schema);
  else world.clock.after(defect.at_ms, () => void node.alter((rows) => spoil(rows, defect)));
}

type Rows = Iterable<readonly [string, Uint8Array]>;

/** The disk with one value of a key changed. */
function spoil(rows: Rows, { key }: Defect): Rows {
  const spoilt = new Map(rows);
  const name = storeKeys.row('kv', key);
  const row = Uint8Array.from(spoilt.get(name) ?? []);
  const last = row.length - 1;
  if (last < 0) return spoilt;
  row[last] = (row[last] ?? 0) ^ 1;
  return spoilt.set(name, row);
}

/** What has to happen, once all is healed and quiet; returns whether there was anything to see. */
export async function demandOfDefect(world: World, wait: Wait): Promise<boolean> {
  const { defect } = world.scenario;
  if (!defect || !isHarmful(world, defect)) return false;
  const node = world.at(defect.node);
  const demand = (isMet: boolean, what: string): void => {
    if (!isMet) world.report('divergence', `${node.name} ${what}`);
  };
  const isHalted = (): boolean => {
    const core = node.core;
    return core?.certifier.diverged !== undefined && core.replica.isHalted;
  };
  demand(await wait(NOTICE_MS, isHalted), 'does not notice that its state is another');
  const size = node.core?.replica.fold.size;
  demand(await isAccepted(world, node, wait), 'does not accept events any more');
  demand(node.core?.replica.fold.size === size, 'makes events final that it folds wrongly');
  await node.alter((rows) => rows);
  demand(await wait(START_MS, isHalted), 'forgets over a restart that it stands apart');
  demand(await isAccepted(world, node, wait), 'accepts no events after a restart');
  demand(node.core?.replica.fold.size === size, 'goes on after a restart');
  if (world.findings.length > 0) return true;
  node.schema = world.schema;
  await node.alter((rows) => rebuilt(world, rows));
  const isMended = await wait(ACCEPTED_MS, () => !isHalted() && isSame(world, node));
  demand(isMended, `is not mended by a rebuild: ${stateOf(node)}`);
  demand(await isAccepted(world, node, wait), 'accepts no events after a rebuild');
  await wait(ACCEPTED_MS, () => isSame(world, node));
  demand(!isHalted() && isSame(world, node), `stands apart after its rebuild: ${stateOf(node)}`);
  return true;
}

/** Whether the defect changed what the node computed: a row that nobody changed shows nowhere. */
function isHarmful(world: World, { node }: Defect): boolean {
  const { core } = world.at(node);
  return core?.certifier.diverged !== undefined || !isSame(world, world.at(node));
}

function isSame({ honest }: World, { core }: SimNode): boolean {
  const summary = JSON.stringify(core?.replica.fold.summary());
  return honest.every((one) => JSON.stringify(one.core?.replica.fold.summary()) === summary);
}

function stateOf({ core }: SimNode): string {
  return JSON.stringify({ size: core?.replica.fold.size, diverged: core?.certifier.diverged });
}

/** Whether an event that the node acknowledges now becomes final at all the others. */
async function isAccepted(world: World, node: SimNode, wait: Wait): Promise<boolean> {
  let entry: Entry | undefined;
  const body = { key: 'accepted', value: new Uint8Array(3) };
  void node.core?.author('kv.put/1', body, true).then(
    (kept) => (entry = kept),
    () => undefined,
  );
  return wait(ACCEPTED_MS, () => {
    const { id } = entry ?? {};
    return id !== undefined && world.honest.every(({ core }) => core?.log.finalEvent(id));
  });
}

async function rebuilt(world: World, rows: Rows): Promise<Rows> {
  const store = new MemoryStore(rows);
  try {
    await rebuildProjections(store, world.chain, world.schema);
  } catch (error) {
    // that is what it is for
    if (codeOf(error) !== 'rebuild_differs') throw error;
  }
  return store.rows;
}
