import { decodeCertificate } from '#ledger/certificate.ts';
import type { Checkpoint } from '#ledger/checkpoint.ts';
import { decodeConsistency } from '#ledger/consistency.ts';
import type { Core } from '#ledger/core.ts';
import { codeOf } from '#ledger/errors.ts';
import { bytesOf, equalBytes } from '#ledger/ids.ts';
import { verifyConsistency } from '#ledger/merkle-proof.ts';
import type { Id } from '#ledger/ports.ts';
import { verifyReceipt } from '#ledger/receipt-check.ts';
import { decodeReceipt, encodeReceipt } from '#ledger/receipt.ts';
import type { Receipt } from '#ledger/receipt.ts';
import { mth } from '#test/support/rfc9162.ts';
import { randomOf } from '#test/sim/random.ts';
import type { Random } from '#test/sim/random.ts';
import type { SimNode } from '#test/sim/node.ts';
import type { World } from '#test/sim/world.ts';
import type { MakeChecker } from './index.ts';

/** Events whose receipts are asked for, nodes that are asked, bytes that are flipped. */
const EVENTS_MAX = 30;
const NODES = 2;
const FLIPS = 3;
/** Certified sizes that are compared with the log by itself. */
const SIZES_MAX = 64;

/**
 * Receipts of final events verify with nothing but the genesis, whoever made them, and nothing
 * else does; every log that was certified is the beginning of the last one.
 */
export const receipts: MakeChecker = (world, report) => {
  const certified = new Map<number, Checkpoint>();
  return {
    wrote(node, ops) {
      if (!node.isHonest) return;
      for (const op of ops) {
        if (op.type !== 'put' || !op.key.startsWith('h/cert/')) continue;
        const { checkpoint } = decodeCertificate(op.value);
        certified.set(checkpoint.size, checkpoint);
      }
    },
    async end() {
      const random = randomOf(world.scenario.seed, 'receipts');
      const nodes = random.some(world.honest.filter(({ core }) => core), NODES);
      const ids = random.some(world.due().map(([id]) => id), EVENTS_MAX);
      for (const node of nodes) {
        const check = new NodeCheck(world, node, (detail) => report(`${node.name}: ${detail}`));
        for (const id of ids) await check.receipt(id);
        const [first] = ids;
        if (first !== undefined) await check.forgeries(first, random);
        await check.logs([...certified.values()].slice(-SIZES_MAX));
      }
    },
  };
};

/** What one node hands out. */
class NodeCheck {
  readonly #world: World;
  readonly #core: Core;
  readonly #report: (detail: string) => void;

  constructor(world: World, { core }: SimNode, report: (detail: string) => void) {
    this.#world = world;
    this.#core = core as Core;
    this.#report = report;
  }

  /**
   * The receipt of an event that is held here; nothing where it was pruned, or is not even
   * remembered by its id.
   */
  async #made(id: Id): Promise<Uint8Array | undefined> {
    try {
      return await this.#core.receipts.receipt(id);
    } catch (error) {
      const isBelow = ['pruned', 'not_final'].includes(codeOf(error)) && this.#core.log.from > 1;
      if (!isBelow) {
        this.#report(`no receipt of ${id}: ${String(error)}`);
      }
      return undefined;
    }
  }

  async #isValid(receipt: Uint8Array): Promise<boolean> {
    const { genesisBytes } = this.#world.chain;
    return verifyReceipt(receipt, genesisBytes, this.#world.verifier).then(
      () => true,
      () => false,
    );
  }

  async receipt(id: Id): Promise<void> {
    const bytes = await this.#made(id);
    const newest = this.#core.certifier.latest;
    if (!bytes || !newest) return;
    const { genesisBytes } = this.#world.chain;
    try {
      const certificate = decodeCertificate(decodeReceipt(bytes).certificate);
      const { size } = certificate.checkpoint;
      const { size: to } = newest.checkpoint;
      const proof = size < to && (await this.#core.receipts.consistency(size, to));
      const trusted = { certificate: newest.bytes, ...(proof && { consistency: proof }) };
      const proven = await verifyReceipt(bytes, genesisBytes, this.#world.verifier, { trusted });
      const { seq, verdict, entry } = proven;
      const final = this.#core.log.finalEvent(id);
      if (entry.id !== id || seq !== final?.seq || verdict !== final.verdict) {
        this.#report(`the receipt of ${id} proves ${entry.id} at ${seq} with ${verdict}`);
      }
      this.#world.counts.receipts += 1;
    } catch (error) {
      this.#report(`the receipt of ${id} does not verify: ${String(error)}`);
    }
  }

  /** A receipt with a byte, a part or a part's order changed proves nothing. */
  async forgeries(id: Id, random: Random): Promise<void> {
    const bytes = await this.#made(id);
    if (!bytes) return;
    for (let i = 0; i < FLIPS; i++) {
      const at = random.below(bytes.length);
      const flipped = Uint8Array.from(bytes);
      flipped[at] = (flipped[at] ?? 0) ^ (1 << random.below(8));
      if (await this.#isValid(flipped)) this.#report(`a receipt verifies with byte ${at} changed`);
    }
    const receipt = decodeReceipt(bytes);
    for (const [name, change] of Object.entries(CHANGES)) {
      const changed = encodeReceipt({ ...receipt, ...change(receipt) });
      if (equalBytes(changed, bytes)) continue;
      if (await this.#isValid(changed)) this.#report(`a receipt verifies with ${name}`);
    }
  }

  /** The roots of certified logs, by the words of RFC 9162, and the proofs between them. */
  async logs(certified: readonly Checkpoint[]): Promise<void> {
    const newest = this.#core.certifier.latest?.checkpoint;
    if (!newest || this.#core.log.from > 1) return;
    const leaves = [...this.#core.log.range(1, newest.size)].map(({ entry, verdict }) =>
      Buffer.concat([bytesOf(entry.id), Uint8Array.of(verdict >> 8, verdict & 0xff)]),
    );
    for (const { size, root } of certified) {
      if (size > newest.size) continue;
      const plain = mth(leaves.slice(0, size)).toHex();
      if (plain !== root) this.#report(`the certified root of ${size} events is not the log's`);
      try {
        const proof = decodeConsistency(await this.#core.receipts.consistency(size, newest.size));
        const [from, to] = [bytesOf(root), bytesOf(newest.root)];
        if (verifyConsistency(size, from, newest.size, to, proof.path)) continue;
        this.#report(`${newest.size} events are not shown to begin with ${size}`);
      } catch (error) {
        this.#report(`no proof from ${size} to ${newest.size} events: ${String(error)}`);
      }
    }
  }
}

const CHANGES: Readonly<Record<string, (receipt: Receipt) => Partial<Receipt>>> = {
  'another verdict': ({ verdict }) => ({ verdict: verdict === 0 ? 2 : 0 }),
  'the next number': ({ seq }) => ({ seq: seq + 1 }),
  'the number before': ({ seq }) => ({ seq: Math.max(1, seq - 1) }),
  'its path reversed': ({ path }) => ({ path: path.toReversed() }),
  'a step more': ({ path }) => ({ path: [...path, new Uint8Array(32)] }),
  'a step less': ({ path }) => ({ path: path.slice(1) }),
  'an epoch more': ({ certificate }) => ({ epochs: [{ certificate, next: [] }] }),
};
