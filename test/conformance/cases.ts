import { thresholdsOf } from '#ledger/committee.ts';
import { compareRefs, gcRoundAfter, linearise } from '#ledger/linearise.ts';
import { CommitRule } from '#ledger/rule.ts';
import type { DagView, Decision, RuleConfig, Slot, Vertex } from '#ledger/rule.ts';

/**
 * The cases for the commit rule as data: DAGs, the decisions that must be reached, and what was
 * reached.
 */

export interface CaseFile {
  readonly cases: readonly Case[];
}

interface BlockSpec {
  readonly id: string;
  readonly round: number;
  readonly author: number;
  readonly parents: readonly string[];
}

export interface Expected {
  readonly round: number;
  readonly author: number;
  readonly status: string;
  readonly via?: string;
  readonly block?: string;
}

interface StepExpect {
  readonly sequence?: readonly Expected[];
  readonly assertedPrefix?: number;
  readonly slots?: readonly Expected[];
  readonly direct?: readonly Expected[];
  readonly committedSequence?: readonly string[];
  readonly contains?: readonly string[];
  readonly notContains?: readonly string[];
}

interface Step {
  readonly blocks?: readonly string[];
  readonly lastDecided?: readonly [number, number];
  readonly expect?: StepExpect;
  readonly derived?: readonly Expected[];
}

interface SubDagExpect {
  readonly size?: number;
  readonly contains?: readonly string[];
  readonly notContains?: readonly string[];
  readonly blocks?: readonly string[];
}

export interface Case {
  readonly id: string;
  readonly kind: 'commit_rule' | 'linearize';
  readonly committee: { readonly n: number; readonly stake: readonly number[] };
  readonly config: {
    readonly leaderStride?: number;
    readonly leadersPerRound?: number;
    readonly leaderRule?: string;
    readonly leaderTable?:
      Readonly<Record<string, readonly number[]>> | readonly (readonly number[])[];
    readonly gcDepth?: number;
  };
  readonly blocks: readonly BlockSpec[];
  readonly steps?: readonly Step[];
  readonly leaders?: readonly string[];
  readonly expect?: readonly SubDagExpect[];
}

export interface StepResult {
  readonly sequence: readonly Expected[];
  readonly linearized?: readonly (readonly string[])[];
}

export interface CaseResult {
  readonly id: string;
  readonly ok: boolean;
  readonly steps: readonly StepResult[];
  /** One sentence for each expectation that was not met. */
  readonly failures: readonly string[];
}

/** A DAG of named blocks; parents that are not among them (round 0) are kept as references. */
class NamedDag implements DagView {
  top = 0;
  readonly #blocks = new Map<string, Vertex>();
  readonly #rounds = new Map<number, Vertex[]>();

  constructor(specs: readonly BlockSpec[], visible?: readonly string[]) {
    const refs = new Map(specs.map(({ id, round, author }) => [id, { id, round, author }]));
    const shownIds = visible && new Set(visible);
    for (const { id, round, author, parents } of specs) {
      if (shownIds && !shownIds.has(id)) continue;
      const block: Vertex = {
        id,
        round,
        author,
        parents: parents.map((parent) => refs.get(parent) ?? genesisRef(parent)),
      };
      this.#blocks.set(id, block);
      this.#rounds.set(round, [...(this.#rounds.get(round) ?? []), block]);
      this.top = Math.max(this.top, round);
    }
  }

  round(round: number): readonly Vertex[] {
    return this.#rounds.get(round) ?? [];
  }

  slot(round: number, author: number): readonly Vertex[] {
    return this.round(round).filter((block) => block.author === author);
  }

  get(id: string): Vertex | undefined {
    return this.#blocks.get(id);
  }
}

/** `C0` and the like: author letter, round 0. */
function genesisRef(id: string): { id: string; round: number; author: number } {
  return { id, round: 0, author: Math.max(0, id.charCodeAt(0) - 65) };
}

function ruleConfig({ committee, config }: Case): RuleConfig {
  const { n, stake } = committee;
  const stride = config.leaderStride ?? 1;
  const ranks = config.leadersPerRound ?? 1;
  const table = config.leaderTable as Readonly<Record<string, readonly number[]>> | undefined;
  return {
    thresholds: thresholdsOf(stake.reduce((sum, one) => sum + one, 0)),
    stakeOf: (author) => stake[author] ?? 0,
    leadersOf(round) {
      if (round < 1 || round % stride !== 0) return [];
      const listed = table?.[round];
      return listed ?? Array.from({ length: ranks }, (_, rank) => (round + rank) % n);
    },
  };
}

function shown(decision: Decision): Expected {
  const { round, author, status } = decision;
  if (decision.status === 'undecided') return { round, author, status };
  const via = decision.via;
  return decision.status === 'commit'
    ? { round, author, status, via, block: decision.block.id }
    : { round, author, status, via };
}

/** Whether `actual` has all that `wanted` names. */
function meets(actual: Expected | undefined, wanted: Expected): boolean {
  if (!actual) return false;
  return Object.entries(wanted).every(([name, value]) => actual[name as keyof Expected] === value);
}

function runStep(testCase: Case, step: Step, failures: string[]): StepResult {
  const config = ruleConfig(testCase);
  const rule = new CommitRule(new NamedDag(testCase.blocks, step.blocks), config);
  const cursor: Slot | undefined = step.lastDecided && {
    round: step.lastDecided[0],
    author: step.lastDecided[1],
  };
  const sequence = rule.decide(cursor).map(shown);
  const all = rule.decisions(cursor).map(shown);
  const expect = step.expect ?? {};
  const claim = (holds: boolean, what: string) => {
    if (!holds) failures.push(`${testCase.id}: ${what}`);
  };
  if (expect.sequence) {
    const asserted = expect.assertedPrefix ?? expect.sequence.length;
    if (expect.assertedPrefix === undefined) {
      claim(
        sequence.length === expect.sequence.length,
        `${sequence.length} decided, not ${expect.sequence.length}`,
      );
    }
    for (const [i, wanted] of expect.sequence.slice(0, asserted).entries()) {
      claim(
        meets(sequence[i], wanted),
        `decision ${i} is ${JSON.stringify(sequence[i])}, not ${JSON.stringify(wanted)}`,
      );
    }
  }
  for (const wanted of expect.slots ?? []) {
    const actual = all.find(
      ({ round, author }) => round === wanted.round && author === wanted.author,
    );
    claim(
      meets(actual, wanted),
      `slot is ${JSON.stringify(actual)}, not ${JSON.stringify(wanted)}`,
    );
  }
  for (const wanted of expect.direct ?? []) {
    const actual = shown(rule.direct(wanted));
    claim(
      meets(actual, wanted),
      `directly ${JSON.stringify(actual)}, not ${JSON.stringify(wanted)}`,
    );
  }
  const committed = sequence.flatMap(({ block }) => block ?? []);
  if (expect.committedSequence) {
    claim(
      committed.join() === expect.committedSequence.join(),
      `commits ${committed.join()}, not ${expect.committedSequence.join()}`,
    );
  }
  for (const id of expect.contains ?? []) claim(committed.includes(id), `does not commit ${id}`);
  for (const id of expect.notContains ?? []) claim(!committed.includes(id), `commits ${id}`);
  return { sequence };
}

function runLinearise(testCase: Case, failures: string[]): StepResult {
  const dag = new NamedDag(testCase.blocks);
  const done = new Set<string>();
  const linearized: string[][] = [];
  let previousRound = 0;
  for (const [i, id] of (testCase.leaders ?? []).entries()) {
    const leader = dag.get(id);
    if (!leader) throw new Error(`${testCase.id}: no leader ${id}`);
    const gcRound = gcRoundAfter(previousRound, testCase.config.gcDepth ?? 60);
    const ids = linearise(dag, leader, gcRound, (one) => done.has(one))
      .toSorted(compareRefs)
      .map((block) => block.id);
    for (const one of ids) done.add(one);
    linearized.push(ids);
    previousRound = leader.round;
    const expect = testCase.expect?.[i] ?? {};
    const claim = (holds: boolean, what: string) => {
      if (!holds) failures.push(`${testCase.id}: sub-DAG ${i} ${what}`);
    };
    if (expect.size !== undefined) {
      claim(ids.length === expect.size, `has ${ids.length} blocks, not ${expect.size}`);
    }
    if (expect.blocks) {
      const wanted = expect.blocks.join();
      claim(ids.join() === wanted, `is ${ids.join()}, not ${wanted}`);
    }
    for (const one of expect.contains ?? []) claim(ids.includes(one), `lacks ${one}`);
    for (const one of expect.notContains ?? []) claim(!ids.includes(one), `has ${one}`);
  }
  return { sequence: [], linearized };
}

export function runCase(testCase: Case): CaseResult {
  const failures: string[] = [];
  const steps =
    testCase.kind === 'linearize'
      ? [runLinearise(testCase, failures)]
      : (testCase.steps ?? []).map((step) => runStep(testCase, step, failures));
  return { id: testCase.id, ok: failures.length === 0, steps, failures };
}
