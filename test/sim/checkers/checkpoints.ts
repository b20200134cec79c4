import { decodeCertificate, decodeVote, voteJob } from '#ledger/certificate.ts';
import type { Certificate, Vote } from '#ledger/certificate.ts';
import { slotName } from '#ledger/checkpoint.ts';
import type { Checkpoint } from '#ledger/checkpoint.ts';
import type { Committee } from '#ledger/committee.ts';
import { idOf } from '#ledger/ids.ts';
import { storeKeys } from '#ledger/keys.ts';
import type { Id } from '#ledger/ports.ts';
import type { SimNode } from '#test/sim/node.ts';
import type { World } from '#test/sim/world.ts';
import type { MakeChecker } from './index.ts';

type Report = (detail: string) => void;

/**
 * Certificates and votes of honest nodes. Over all its lives, wherever it was cut off, a validator
 * sends one vote for a slot, and none that a power cut could make it forget. With no more traitors
 * than the protocol stands, certificates agree wherever they are held, each with the valid
 * signatures of a quorum, and nobody halts.
 */
export const checkpoints: MakeChecker = (world, report) => {
  const votes = new OneVote(world, report);
  const certificates = new OneHistory(world, report);
  const look = (): void => {
    for (const { core, name } of world.honest) {
      if (!core || world.isBeyond) continue;
      const { diverged, counters } = core.certifier;
      if (diverged) report(`${name} stands apart: ${JSON.stringify(diverged)}`);
      if (counters.doubleVotes > 0 && world.nodes.every(({ isHonest }) => isHonest)) {
        report(`${name} saw two votes of one validator`);
      }
    }
  };
  return {
    voted: (node, bytes) => votes.sent(node, decodeVote(bytes)),
    carried: (bytes) => votes.carried(bytes),
    wrote(node, ops) {
      if (world.isBeyond || !node.isHonest) return;
      for (const op of ops) {
        if (op.type !== 'put' || !op.key.startsWith('h/cert/')) continue;
        const certificate = decodeCertificate(op.value);
        certificates.kept(node, certificate, committeeAt(node, certificate.checkpoint));
      }
    },
    sample: look,
    async end() {
      look();
      await certificates.end();
    },
  };
};

function committeeAt({ core }: SimNode, { epoch }: Checkpoint): Committee | undefined {
  return core?.certifier.committeeOf(epoch);
}

/** Which checkpoint each validator signed in a slot. */
class OneVote {
  readonly #world: World;
  readonly #report: Report;
  readonly #signed = new Map<string, Id>();
  readonly #met = new Set<string>();

  constructor(world: World, report: Report) {
    this.#world = world;
    this.#report = report;
  }

  /** A node hands an own vote to its peers. */
  sent(node: SimNode, vote: Vote): void {
    const { checkpoint } = vote;
    if (!node.isHonest) return;
    const kept = node.store?.durable(storeKeys.signedCheckpoint(checkpoint))?.toHex();
    if (kept !== checkpoint.id) {
      this.#report(`${node.name} sent a vote for ${slotName(checkpoint)} that it may forget`);
    }
    this.#note(node, vote);
  }

  /** Any message arrives: votes travel in answers and certificates too. */
  carried(bytes: Uint8Array): void {
    const vote = voteIn(bytes);
    if (!vote) return;
    const { checkpoint, author } = vote;
    const knower = this.#world.honest.find(({ core }) => core);
    const committee = knower && committeeAt(knower, checkpoint);
    const actor = committee?.validators[author]?.actor;
    const node = this.#world.nodes.find(({ who }) => who.actor === actor);
    if (!committee || !node?.isHonest) return;
    const name = idOf(bytes);
    if (this.#signed.get(nameOf(node, vote)) === checkpoint.id || this.#met.has(name)) return;
    this.#met.add(name);
    // others may put its name to what it never signed
    const job = voteJob(vote, committee);
    void this.#noteIf(this.#world.verifier.verify([job]), node, vote);
  }

  async #noteIf(verified: Promise<readonly boolean[]>, node: SimNode, vote: Vote): Promise<void> {
    if ((await verified)[0] === true) this.#note(node, vote);
  }

  #note(node: SimNode, vote: Vote): void {
    const { checkpoint } = vote;
    const name = nameOf(node, vote);
    const before = this.#signed.get(name) ?? checkpoint.id;
    this.#signed.set(name, before);
    if (before !== checkpoint.id) {
      this.#report(`${node.name} signed ${before} and ${checkpoint.id}: ${name}`);
    }
  }
}

function nameOf({ name }: SimNode, { checkpoint }: Vote): string {
  return `${name} ${slotName(checkpoint)}`;
}

/** A vote is a list of three: most other messages need not be read. */
function voteIn(bytes: Uint8Array): Vote | undefined {
  if (bytes[0] !== 0x83) return undefined;
  try {
    return decodeVote(bytes);
  } catch {
    return undefined;
  }
}

/** All certificates that honest nodes ever kept. */
class OneHistory {
  readonly #world: World;
  readonly #report: Report;
  readonly #bySlot = new Map<string, Id>();
  readonly #bySize = new Map<number, string>();
  readonly #kept = new Map<string, { readonly by: string; readonly certificate: Certificate }>();
  readonly #committees = new Map<number, Committee>();

  constructor(world: World, report: Report) {
    this.#world = world;
    this.#report = report;
  }

  kept({ name }: SimNode, certificate: Certificate, committee: Committee | undefined): void {
    const { checkpoint, bytes } = certificate;
    const { id, size, root, state } = checkpoint;
    const slot = slotName(checkpoint);
    const before = this.#bySlot.get(slot);
    if (before === undefined) {
      this.#bySlot.set(slot, id);
      this.#world.counts.checkpoints += 1;
    } else if (before !== id) this.#report(`${name} keeps ${id} of ${slot}, others ${before}`);
    const said = this.#bySize.get(size) ?? `${root} ${state}`;
    this.#bySize.set(size, said);
    if (said !== `${root} ${state}`) this.#report(`${name} keeps another log of ${size} events`);
    if (committee) this.#committees.set(checkpoint.epoch, committee);
    this.#kept.set(idOf(bytes), { by: name, certificate });
  }

  /** Counts the signatures by itself: whoever kept them may have counted wrongly. */
  async end(): Promise<void> {
    for (const { by, certificate } of this.#kept.values()) {
      const { checkpoint, signatures } = certificate;
      const committee = this.#committees.get(checkpoint.epoch);
      if (!committee) continue;
      const authors = new Set(signatures.map(({ author }) => author));
      const isQuorum = committee.stakeOf(authors) * 3 > committee.total * 2;
      const jobs = signatures.map((one) => voteJob({ checkpoint, ...one }, committee));
      const isValid = (await this.#world.verifier.verify(jobs)).every(Boolean);
      if (isQuorum && isValid && authors.size === signatures.length) continue;
      this.#report(`${by} kept a certificate of ${slotName(checkpoint)} that proves nothing`);
    }
  }
}
