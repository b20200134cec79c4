import type { NetShape } from './scenario.ts';
import type { Random } from './random.ts';
import { SNAPSHOT_FAULTS } from './snapshot-faults.ts';
import type { World } from './world.ts';

/** One fault of a run. What `nodes` and `amount` mean depends on the kind. */
export interface Fault {
  readonly kind: FaultName;
  readonly at_ms: number;
  readonly for_ms: number;
  readonly nodes: readonly number[];
  readonly amount: number;
}

export interface FaultKind {
  /** What differs from fault to fault; nothing where the net has no room for this kind. */
  draw(random: Random, net: NetShape): Partial<Fault> | undefined;
  /** Returns false where it could not take place, and then it does not end either. */
  begin(world: World, fault: Fault): boolean | void;
  end?(world: World, fault: Fault): void;
}

function oneNode(random: Random, net: NetShape): { nodes: number[] } {
  return { nodes: [random.below(net.nodes)] };
}

function twoNodes(random: Random, net: NetShape): { nodes: number[] } | undefined {
  if (net.nodes < 2) return undefined;
  return { nodes: random.some(range(net.nodes), 2) };
}

function range(count: number): number[] {
  return Array.from({ length: count }, (_, index) => index);
}

/** The node of a fault about one, or the first of two. */
function first({ nodes }: Fault): number {
  return nodes[0] as number;
}

/** Sets both ways between a node and all others: `out` is what it sends. */
function setWays(world: World, index: number, isOut: boolean, isLost: boolean): void {
  for (const other of world.nodes.keys()) {
    if (other === index) continue;
    if (isOut) world.setWay(index, other, { isLost });
    else world.setWay(other, index, { isLost });
  }
}

const crash = (how: 'kill' | 'power'): FaultKind => ({
  draw: oneNode,
  begin: (world, fault) => world.crash(first(fault), how),
  end: (world, fault) => world.restart(first(fault)),
});

const KINDS = {
  /** Links between the nodes listed and all others are cut. */
  partition: {
    draw: (random, net) =>
      net.nodes < 2
        ? undefined
        : { nodes: random.some(range(net.nodes), random.between(1, net.nodes - 1)) },
    begin: (world, { nodes }) => world.split(nodes, true),
    end: (world, { nodes }) => world.split(nodes, false),
  },
  /** What the first sends to the second is lost; nobody notices. */
  oneway: {
    draw: twoNodes,
    begin: (world, { nodes: [a = 0, b = 0] }) => world.setWay(a, b, { isLost: true }),
    end: (world, { nodes: [a = 0, b = 0] }) => world.setWay(a, b, { isLost: false }),
  },
  /** One node hears nobody. */
  deaf: {
    draw: oneNode,
    begin: (world, fault) => setWays(world, first(fault), false, true),
    end: (world, fault) => setWays(world, first(fault), false, false),
  },
  /** Nobody hears one node. */
  mute: {
    draw: oneNode,
    begin: (world, fault) => setWays(world, first(fault), true, true),
    end: (world, fault) => setWays(world, first(fault), true, false),
  },
  /** A direction holds everything and lets it all go at the end. */
  clog: {
    draw: twoNodes,
    begin: (world, { nodes: [a = 0, b = 0] }) => world.setWay(a, b, { isClogged: true }),
    end: (world, { nodes: [a = 0, b = 0] }) => world.setWay(a, b, { isClogged: false }),
  },
  /** A direction is slower by `amount` ms. */
  lag: {
    draw: (random, net) => {
      const pair = twoNodes(random, net);
      return pair && { ...pair, amount: random.pick([50, 300, 1500]) };
    },
    begin: (world, { nodes: [a = 0, b = 0], amount }) => world.setWay(a, b, { lag_ms: amount }),
    end: (world, { nodes: [a = 0, b = 0] }) => world.setWay(a, b, { lag_ms: 0 }),
  },
  /** A link goes up and down every `amount` ms. */
  flap: {
    draw: (random, net) => {
      const pair = twoNodes(random, net);
      return pair && { ...pair, amount: random.pick([10, 60, 400]) };
    },
    begin: (world, fault) => world.flap(fault.nodes, fault.amount, fault.for_ms),
  },
  /** `amount` percent of all gossip is lost, and a third of that comes twice. */
  storm: {
    draw: (random) => ({ amount: random.pick([10, 30, 60, 90]) }),
    begin: (world, { amount }) => world.storm(amount / 100),
    end: (world) => world.storm(undefined),
  },
  /** The process ends; its disk keeps what was written. */
  kill: crash('kill'),
  /** The machine loses power. */
  power: crash('power'),
  /** All machines lose power at the same instant. */
  blackout: {
    draw: () => ({}),
    begin: (world) => {
      for (const index of world.nodes.keys()) world.crash(index, 'power');
    },
    end: (world) => {
      for (const index of world.nodes.keys()) world.restart(index);
    },
  },
  /** The power goes at the `amount`-th write from now: before it is on the disk, or just after. */
  powerAtWrite: {
    draw: (random, net) => ({ ...oneNode(random, net), amount: random.between(1, 40) }),
    begin: (world, { nodes: [node = 0], amount }) => world.trap(node, amount),
    end: (world, fault) => {
      world.untrap(first(fault));
      world.restart(first(fault));
    },
  },
  /** Writes take `amount` ms longer. */
  slowDisk: {
    draw: (random, net) => ({ ...oneNode(random, net), amount: random.pick([20, 100, 700]) }),
    begin: (world, { nodes: [node = 0], amount }) => world.disk(node, { write_ms: amount }),
    end: (world, fault) => world.disk(first(fault), world.scenario.disk),
  },
  /** The disk is full: the next write fails, and with it the node. */
  fullDisk: {
    draw: oneNode,
    begin: (world, fault) => world.disk(first(fault), { isFull: true }),
    end: (world, fault) => {
      world.disk(first(fault), { isFull: false });
      world.restart(first(fault));
    },
  },
  /** A sync fails; whether the batch is on the disk is open. */
  failedSync: {
    draw: oneNode,
    begin: (world, fault) => world.disk(first(fault), { failsSync: true }),
    end: (world, fault) => {
      world.disk(first(fault), { failsSync: false });
      world.restart(first(fault));
    },
  },
  /** The machine stands still. */
  stall: {
    draw: oneNode,
    begin: (world, fault) => world.stall(first(fault), true),
    end: (world, fault) => world.stall(first(fault), false),
  },
  /** The wall clock steps by `amount` ms, and back at the end. */
  clockStep: {
    draw: (random, net) => {
      const amount = random.pick([-60_000, -3000, -400, 400, 3000, 60_000, 86_400_000]);
      // the clock of a lone validator is the network's: who follows it waits for its time
      const isLone = net.validators === 1 && Math.abs(amount) > 3000;
      return { ...oneNode(random, net), amount: isLone ? Math.sign(amount) * 3000 : amount };
    },
    begin: (world, { nodes: [node = 0], amount }) => world.stepClock(node, amount),
    end: (world, { nodes: [node = 0], amount }) => world.stepClock(node, -amount),
  },
  /** A validator's disk is set back to a copy: one of those that may fail in any way. */
  rollback: {
    draw: (_random, net) => {
      const honest = range(net.validators).filter(
        (index) => !net.traitors.some(({ author }) => author === index),
      );
      // the last one is always the one, so that there are never too many of them
      return net.spare > 0 ? { nodes: honest.slice(-1) } : undefined;
    },
    begin: (world, fault) => world.copyDisk(first(fault)),
    end: (world, fault) => world.setBack(first(fault)),
  },
  /** The node starts for the first time only at the end of this. */
  late: {
    draw: (random, net) => (net.nodes < 2 ? undefined : { ...oneNode(random, net), at_ms: 0 }),
    begin: (world, fault) => world.holdBack(first(fault)),
    end: (world, fault) => world.restart(first(fault)),
  },
} as const satisfies Record<string, FaultKind>;

/** Drawn where the committee changes only (`changes.ts`). */
const EPOCH_FAULTS = {
  /**
   * The power goes at the write with which an epoch begins (`amount` 0 and 1) or ends (2 and 3):
   * just before it is on the disk (even ones), or just after.
   */
  powerAtEpoch: {
    draw: (random, net) => ({ ...oneNode(random, net), amount: random.below(4) }),
    begin: (world, { nodes: [node = 0], amount }) =>
      world.trap(node, 1, {
        keeps: amount % 2 === 1,
        isMeant: (ops) => ops.some(({ key }) => key.startsWith(amount < 2 ? 'g/' : 'h/committee/')),
      }),
    end: (world, fault) => {
      world.untrap(first(fault));
      world.restart(first(fault));
    },
  },
} as const satisfies Record<string, FaultKind>;

const ALL = { ...KINDS, ...EPOCH_FAULTS, ...SNAPSHOT_FAULTS };

export type FaultName = keyof typeof ALL;

export const FAULTS: Readonly<Record<FaultName, FaultKind>> = ALL;

/** Those that any run may draw. */
export const COMMON_FAULTS = Object.keys(KINDS) as FaultName[];

/** A fault in one line, for people. */
export function describe({ kind, at_ms, for_ms, nodes, amount }: Fault): string {
  const who = nodes.length > 0 ? ` of ${nodes.join('+')}` : '';
  return `${at_ms}..${at_ms + for_ms} ms: ${kind}${who}${amount === 0 ? '' : ` by ${amount}`}`;
}
