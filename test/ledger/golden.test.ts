import test from 'ava';
import { hash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { CID } from 'multiformats/cid';
import { decode as dagCbor } from '@ipld/dag-cbor';
import { blockJob, decodeBlock, encodeBlock, entryJobs } from '#ledger/block.ts';
import { decodeCommit, encodeCommit } from '#ledger/commit.ts';
import { openChain } from '#ledger/chain.ts';
import { decodeEntry, decodeEvent, encodeEvent } from '#ledger/event.ts';
import { encodeGenesis } from '#ledger/genesis.ts';
import { textOf } from '#ledger/ids.ts';
import { loadEngine } from '#native/engine.ts';
import { base64, fromBase64, fullEvent, goldenValues, net } from './golden-objects.ts';
import type { Golden } from './golden-objects.ts';

const file = new URL('./golden.json', import.meta.url);
const golden = JSON.parse(readFileSync(file, 'utf8')) as Golden;
const bytesAt = (name: string): Uint8Array => fromBase64(String(golden.values[name]));
const textAt = (name: string): string => String(golden.values[name]);
const sha256 = (bytes: Uint8Array): string => hash('sha256', bytes);

test('every object has the bytes and the ids that earlier releases wrote', async (t) => {
  const { event, block } = golden.signatures;
  const values = await goldenValues({ event: fromBase64(event), block: fromBase64(block) });
  for (const [name, value] of Object.entries(golden.values)) t.deepEqual(values[name], value, name);
  t.deepEqual(Object.keys(values), Object.keys(golden.values));
});

for (const name of ['liboqs', 'openssl'] as const) {
  test(`${name} verifies the stored signatures, and none over anything else`, async (t) => {
    const engine = await loadEngine(name);
    const { committee, id } = net.chain;
    const block = decodeBlock(bytesAt('sealedBlock'), id, committee);
    const { jobs } = entryJobs(block, committee, () => false);
    t.is(jobs.length, 1);
    for (const job of [blockJob(block, committee), ...jobs]) {
      t.true(engine.verify(job));
      const wrong = job.message.slice();
      wrong[wrong.length - 1] = (wrong.at(-1) ?? 0) ^ 1;
      t.false(engine.verify({ ...job, message: wrong }));
      const raw = { ...job, message: job.message.subarray(40) };
      t.false(engine.verify(raw), 'not without its domain');
    }
  });
}

test('ids are SHA-256 of the unsigned bytes, shown as CIDv1 of dag-cbor', (t) => {
  t.is(sha256(bytesAt('genesis')), textAt('chainId'));
  t.is(sha256(bytesAt('eventWithAll')), textAt('eventWithAllId'));
  t.is(sha256(bytesAt('header')), textAt('blockId'));
  t.is(sha256(bytesAt('commit')), textAt('commitId'));
  t.is(sha256(bytesAt('coseKey')), textAt('actor'));
  const cid = CID.parse(textOf(String(golden.values['blockId'])));
  t.is(cid.version, 1);
  t.is(cid.code, 0x71);
  t.is(cid.multihash.code, 0x12);
});

test('the stored bytes decode to the objects and encode to the same bytes', (t) => {
  const { committee, id } = net.chain;
  t.deepEqual(decodeEvent(bytesAt('eventWithAll')), fullEvent);
  t.deepEqual(encodeEvent(decodeEvent(bytesAt('eventWithAll'))), bytesAt('eventWithAll'));
  t.deepEqual(decodeEntry(bytesAt('signedEntry')).bytes, bytesAt('signedEntry'));
  t.is(decodeEntry(bytesAt('bareEntry')).sign1, undefined);
  const sealed = bytesAt('sealedBlock');
  t.deepEqual(encodeBlock(decodeBlock(sealed, id, committee)), sealed);
  t.deepEqual(encodeGenesis(openChain(bytesAt('genesis')).genesis), bytesAt('genesis'));
  t.is(base64(encodeCommit(decodeCommit(bytesAt('commit')))), textAt('commit'));
});

test('what is signed is a Sig_structure of RFC 9052 with the tag of its object', (t) => {
  const [context, head, aad, payload] = dagCbor<
    [string, Uint8Array, Uint8Array, Uint8Array]
  >(bytesAt('eventToBeSigned'));
  t.is(context, 'Signature1');
  t.is(Buffer.from(head).toString('hex'), 'a1013830');
  t.is(Buffer.from(aad).toString(), 'x0t/event/1');
  t.deepEqual(Uint8Array.from(payload), decodeEntry(bytesAt('signedEntry')).eventBytes);
  const short = dagCbor<Uint8Array[]>(bytesAt('shortToBeSigned'));
  t.deepEqual(Uint8Array.from(short[3] ?? []), Uint8Array.of(0x80));
  const empty = dagCbor<Uint8Array[]>(bytesAt('emptyToBeSigned'));
  t.is(empty[3]?.length, 0);
});

test('a header names its parents, its payload and nothing else', (t) => {
  const header = dagCbor<Record<string, unknown>>(bytesAt('header'));
  const names = ['author', 'bytes', 'chain', 'committee', 'count', 'epoch', 'parents', 'root'];
  t.deepEqual(Object.keys(header).toSorted(), [...names, 'round', 't', 'ts_ms', 'v', 'vote']);
  t.is(header['t'], 'block');
  t.is(header['v'], 1);
  t.is(header['count'], 2);
});
