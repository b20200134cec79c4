import { fail } from '#ledger/errors.ts';
import type { Footprint, SchemaJson, TypeJson } from './cedar-footprint.ts';

/**
 * Cedar replaces every name of a type by what it stands for when it validates, so that a schema of
 * a few lines may stand for more than any memory holds; it forms the groups of groups, and takes
 * each policy with each kind of request. What that comes to is counted here, before it does so.
 */

/** Entity types and named types of a schema; a network begins with 13. */
const TYPES_MAX = 256;
/** Actions and groups of them; a network begins with some 60. */
const ACTIONS_MAX = 256;
/** Pairs of an action, or a type, with what it is in, however far up. */
const LINKS_MAX = 4096;
/** Parts of one type, names replaced. */
const TYPE_PARTS_MAX = 512;
/** Of sets and records in each other, names replaced: Cedar goes down by recursion. */
const DEPTH_MAX = 48;
/** Parts of all types and contexts, names replaced. */
const PARTS_MAX = 8192;
/** Triples of an action, a type of principals and one of resources; a network begins with 100. */
const REQUESTS_MAX = 512;

/**
 * Parts of all policies, each as often as there are kinds of requests that it is tried with: half a
 * second for the worst that was found.
 */
const WORK_MAX = 800_000;
/** Parts of the policies that may matter to one action: some milliseconds for each decision. */
const PARTS_OF_ACTION_MAX = 8192;

/** What validating policies against a schema comes to. */
export interface SchemaSize {
  /** How many kinds of requests an action has. */
  readonly requestsOf: ReadonlyMap<string, number>;
  /** Parts of the largest type. */
  readonly largest: number;
}

/** Throws `policy_schema_invalid` where a schema stands for more than the bounds allow. */
export function measuredSchema(schema: SchemaJson): SchemaSize {
  const spaces = Object.values(schema);
  const types = Object.entries(schema).flatMap(([space, { entityTypes, commonTypes }]) => [
    ...Object.keys(entityTypes).map((name) => qualified(space, name)),
    ...Object.keys(commonTypes ?? {}),
  ]);
  assertWithin('types', types.length, TYPES_MAX);
  const actions = spaces.flatMap((one) => Object.keys(one.actions));
  assertWithin('actions', actions.length, ACTIONS_MAX);
  assertWithin('pairs of groups', linksOf(actionGraph(schema)), LINKS_MAX);
  assertWithin('pairs of types', linksOf(typeGraph(schema)), LINKS_MAX);
  const requestsOf = new Map<string, number>();
  for (const { actions: own } of spaces) {
    for (const [id, { appliesTo }] of Object.entries(own)) {
      const count = principalsOf(appliesTo) * (appliesTo?.resourceTypes.length ?? 0);
      requestsOf.set(id, (requestsOf.get(id) ?? 0) + count);
    }
  }
  const requests = [...requestsOf.values()].reduce((sum, one) => sum + one, 0);
  assertWithin('kinds of requests', requests, REQUESTS_MAX);
  return { requestsOf, largest: largestOf(schema) };
}

/**
 * Throws `policy_bounds` where it would take too long to validate the policies, each of which is
 * tried with all kinds of requests that its action leaves, or to decide by them.
 */
export function assertAffordable(
  policies: readonly Footprint[],
  { requestsOf, largest }: SchemaSize,
  groups: ReadonlyMap<string, ReadonlySet<string>>,
): void {
  let work = 0;
  for (const [action, requests] of requestsOf) {
    const fitting = policies.filter((one) => one.fitsAction(action, groups.get(action) ?? NONE));
    const parts = fitting.reduce((sum, one) => sum + one.parts, 0);
    if (parts > PARTS_OF_ACTION_MAX) {
      const message = `The policies say too much of the action ${action}: say less.`;
      fail('policy_bounds', message, { action, parts });
    }
    const wide = fitting.reduce((sum, one) => sum + one.wide, 0);
    work += requests * (parts + wide * largest);
  }
  if (work <= WORK_MAX) return;
  const message =
    'The policies together say too much of too many kinds of requests: ' +
    'have them name actions, or say less.';
  fail('policy_bounds', message, { work });
}

const NONE: ReadonlySet<string> = new Set();

function principalsOf(appliesTo: { readonly principalTypes: readonly string[] } | undefined) {
  return appliesTo?.principalTypes.length ?? 0;
}

function assertWithin(what: string, count: number, max: number): void {
  if (count <= max) return;
  fail('policy_schema_invalid', `The schema comes to more than ${max} ${what}.`, { count });
}

function qualified(space: string, name: string): string {
  return space === '' ? name : `${space}::${name}`;
}

type Graph = ReadonlyMap<string, readonly string[]>;

function actionGraph(schema: SchemaJson): Graph {
  const graph = new Map<string, readonly string[]>();
  for (const [space, { actions }] of Object.entries(schema)) {
    for (const [id, { memberOf }] of Object.entries(actions)) {
      const groups = (memberOf ?? []).map((group) => `${group.type ?? 'Action'} ${group.id}`);
      graph.set(`${qualified(space, 'Action')} ${id}`, groups);
    }
  }
  return graph;
}

function typeGraph(schema: SchemaJson): Graph {
  const graph = new Map<string, readonly string[]>();
  for (const [space, { entityTypes }] of Object.entries(schema)) {
    for (const [name, { memberOfTypes }] of Object.entries(entityTypes)) {
      graph.set(qualified(space, name), memberOfTypes ?? []);
    }
  }
  return graph;
}

/** Pairs of a node with one that it reaches, itself included; ends above the bound. */
function linksOf(graph: Graph): number {
  let count = 0;
  for (const start of graph.keys()) {
    const seen = new Set([start]);
    for (const one of seen) {
      for (const next of graph.get(one) ?? []) seen.add(next);
      if (count + seen.size > LINKS_MAX) return count + seen.size;
    }
    count += seen.size;
  }
  return count;
}

/** A type with all names replaced. */
interface Extent {
  readonly parts: number;
  readonly depth: number;
}

const NOTHING: Extent = { parts: 0, depth: 0 };
const ENDLESS: Extent = { parts: TYPE_PARTS_MAX + 1, depth: DEPTH_MAX + 1 };

/** Extents of types; parts are counted up to just above their bound. */
class Extents {
  readonly #named: ReadonlyMap<string, TypeJson>;
  readonly #known = new Map<string, Extent>();

  constructor(named: ReadonlyMap<string, TypeJson>) {
    this.#named = named;
  }

  of(type: TypeJson | undefined): Extent {
    if (!type) return NOTHING;
    if (this.#named.has(type.type)) return this.ofName(type.type);
    let { parts, depth } = this.of(type.element);
    for (const one of Object.values(type.attributes ?? {})) {
      const inner = this.of(one);
      parts = Math.min(parts + inner.parts, ENDLESS.parts);
      depth = Math.max(depth, inner.depth);
    }
    return { parts: parts + 1, depth: depth + 1 };
  }

  ofName(name: string): Extent {
    const found = this.#known.get(name);
    if (found) return found;
    // a name that is met again while it is counted stands for itself
    this.#known.set(name, ENDLESS);
    const extent = this.of(this.#named.get(name));
    this.#known.set(name, extent);
    return extent;
  }
}

/** Parts of the largest type; throws where one, or all of them, have too many. */
function largestOf(schema: SchemaJson): number {
  const named = new Map<string, TypeJson>();
  for (const [space, { commonTypes }] of Object.entries(schema)) {
    for (const [name, type] of Object.entries(commonTypes ?? {})) {
      named.set(qualified(space, name), type);
    }
  }
  const extents = new Extents(named);
  const found = [...named.keys()].map((name) => extents.ofName(name));
  for (const { entityTypes, actions } of Object.values(schema)) {
    for (const { shape, tags } of Object.values(entityTypes)) {
      found.push(extents.of(shape), extents.of(tags));
    }
    for (const { appliesTo } of Object.values(actions)) found.push(extents.of(appliesTo?.context));
  }
  const most = (of: (one: Extent) => number) =>
    found.reduce((max, one) => Math.max(max, of(one)), 0);
  const largest = most(({ parts }) => parts);
  assertWithin('parts of one type', largest, TYPE_PARTS_MAX);
  assertWithin('levels of one type', most(({ depth }) => depth), DEPTH_MAX);
  const all = found.reduce((sum, { parts }) => sum + parts, 0);
  assertWithin('parts of types', all, PARTS_MAX);
  return largest;
}
