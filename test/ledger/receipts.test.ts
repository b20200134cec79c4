import { hash } from 'node:crypto';
import test from 'ava';
import type { SignatureJob, Verifier } from '#ledger/ports.ts';
import { verifyReceipt } from '#ledger/receipt-check.ts';
import { loadEngine } from '#native/engine.ts';
import { certifiedLog } from '#test/support/certified-log.ts';
import type { CertifiedLog } from '#test/support/certified-log.ts';
import { seeded } from '#test/support/fake-link.ts';
import { seededNet } from '#test/support/seeded-actor.ts';

/** Real checks, each distinct one done once: a changed byte changes one of four signatures. */
async function remembering(): Promise<Pick<Verifier, 'verify'>> {
  const engine = await loadEngine('liboqs');
  const known = new Map<string, boolean>();
  const check = (job: SignatureJob): boolean => {
    const parts = [job.publicKey, job.signature, job.message];
    const name = hash('sha256', Buffer.concat(parts));
    const result = known.get(name) ?? engine.verify(job);
    if (known.size < 10_000) known.set(name, result);
    return result;
  };
  return { verify: (jobs) => Promise.resolve(jobs.map(check)) };
}

const verifier = await remembering();
const net = seededNet(4, 2, 'receipts');
const { genesisBytes } = net.chain;
const log: CertifiedLog = await certifiedLog(net, 9, 28, verifier);

const isValid = async (receipt: Uint8Array): Promise<boolean> => {
  try {
    await verifyReceipt(receipt, genesisBytes, verifier);
    return true;
  } catch {
    return false;
  }
};

test('receipts of a thousand events verify offline, and none with a byte changed', async (t) => {
  const random = seeded(7);
  t.true(log.entries.length > 1000);
  let signed = 0;
  for (const { id } of log.entries.slice(0, 1000)) {
    const receipt = await log.maker.receipt(id);
    const proven = await verifyReceipt(receipt, genesisBytes, verifier);
    t.is(proven.entry.id, id);
    t.true(proven.seq <= proven.checkpoint.size);
    if (proven.signedBy === 'actor') signed += 1;
    const wrong = receipt.slice();
    const at = Math.floor(random() * wrong.length);
    wrong[at] = (wrong[at] ?? 0) ^ (1 << Math.floor(random() * 8));
    t.false(await isValid(wrong), `byte ${at} of ${id}`);
  }
  t.true(signed > 500 && signed < 1000);
});

/** Every so many bytes of a raw signature or key are changed, and every byte of all else. */
const SAMPLE = 41;

/** Whether the bytes around look like a signature's or a key's own: no head of CBOR is near. */
function isInside(receipt: Uint8Array, at: number): boolean {
  return bodies(receipt).some(([start, end]) => at >= start && at + SAMPLE < end);
}

let found: { readonly receipt: Uint8Array; readonly bodies: [number, number][] } | undefined;

/** Where raw signatures and keys stand: after the fixed heads of COSE_Sign1 and COSE_Key. */
function bodies(receipt: Uint8Array): [number, number][] {
  if (found?.receipt === receipt) return found.bodies;
  const bytes = Buffer.from(receipt);
  const areas: [number, number][] = [];
  for (const [head, length] of [['30a0f6590ced', 3309], ['205907a0', 1952]] as const) {
    const wanted = Buffer.from(head, 'hex');
    for (let at = bytes.indexOf(wanted); at >= 0; at = bytes.indexOf(wanted, at + 1)) {
      areas.push([at + wanted.length, at + wanted.length + length]);
    }
  }
  found = { receipt, bodies: areas };
  return areas;
}

for (const [name, isBare] of [['own signature', false], ["block's signature", true]] as const) {
  test(`a change at any position is found: an event with its ${name}`, async (t) => {
    const entry = log.entries.findLast(({ sign1 }) => (sign1 === undefined) === isBare);
    const receipt = await log.maker.receipt(entry?.id ?? '');
    t.true(await isValid(receipt));
    const slack: number[] = [];
    const wrong = receipt.slice();
    for (let at = 0; at < receipt.length; at += isInside(receipt, at) ? SAMPLE : 1) {
      const right = receipt[at] as number;
      wrong[at] = right ^ (1 << (at % 8));
      if (await isValid(wrong)) slack.push(at);
      wrong[at] = right;
    }
    t.deepEqual(slack, []);
    const others = [receipt.subarray(1), receipt.subarray(0, -1), Uint8Array.of(...receipt, 0)];
    for (const other of others) t.false(await isValid(other));
  });
}
