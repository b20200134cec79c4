import { readFileSync } from 'node:fs';
import test from 'ava';
import { decode as dagCbor } from '@ipld/dag-cbor';
import {
  decodeCertificate,
  formCertificate,
  signCheckpoint,
  verifyCertificate,
} from '#ledger/certificate.ts';
import type { Signed } from '#ledger/certificate.ts';
import { decodeCheckpoint, makeCheckpoint } from '#ledger/checkpoint.ts';
import { encode } from '#ledger/codec.ts';
import { Committee } from '#ledger/committee.ts';
import { linkOf } from '#ledger/ids.ts';
import type { SignatureJob, Verifier } from '#ledger/ports.ts';
import { loadEngine } from '#native/engine.ts';
import type { TestActor } from '#test/support/cluster.ts';
import { checkpointValues, end, idle, net, periodic } from './checkpoint-objects.ts';
import type { CheckpointGolden } from './checkpoint-objects.ts';

const file = new URL('./checkpoint-golden.json', import.meta.url);
const golden = JSON.parse(readFileSync(file, 'utf8')) as CheckpointGolden;
const bytesAt = (name: string): Uint8Array => Uint8Array.fromBase64(golden.values[name] ?? '');
const { committee } = net.chain;

async function verifierOf(name: 'liboqs' | 'openssl'): Promise<Pick<Verifier, 'verify'>> {
  const engine = await loadEngine(name);
  return { verify: async (jobs: readonly SignatureJob[]) => jobs.map((job) => engine.verify(job)) };
}

test('checkpoints and certificates have the bytes and ids that earlier releases wrote', (t) => {
  const values = checkpointValues(golden.signatures.map((one) => Uint8Array.fromBase64(one)));
  t.deepEqual(values, { ...golden.values });
  for (const one of [periodic, end, idle]) t.deepEqual(decodeCheckpoint(one.bytes), one);
  const { certificate, periodic: object } = golden.values;
  t.is(decodeCertificate(bytesAt('certificate')).bytes.toBase64(), certificate ?? '');
  const fields = dagCbor<Record<string, unknown>>(Uint8Array.fromBase64(object ?? ''));
  t.deepEqual(Object.keys(fields), [
    't', 'v', 'cut', 'prev', 'root', 'size', 'chain', 'epoch', 'state', 'ts_ms', 'commit',
  ]);
});

for (const name of ['liboqs', 'openssl'] as const) {
  test(`${name} verifies the stored certificate, and none with a byte changed`, async (t) => {
    const verifier = await verifierOf(name);
    const bytes = bytesAt('certificate');
    await verifyCertificate(decodeCertificate(bytes), committee, verifier);
    const slack: number[] = [];
    const step = name === 'liboqs' ? 7 : 23;
    for (let at = 0; at < bytes.length; at += at < 700 ? 1 : step) {
      const wrong = bytes.slice();
      wrong[at] = (bytes[at] as number) ^ (1 << (at % 8));
      try {
        await verifyCertificate(decodeCertificate(wrong), committee, verifier);
        slack.push(at);
      } catch {
        // as it must be
      }
    }
    t.deepEqual(slack, []);
  });
}

test('a certificate has exactly the first quorum of signatures by author', async (t) => {
  const verifier = await verifierOf('liboqs');
  const { signatures } = decodeCertificate(bytesAt('certificate'));
  t.is(formCertificate(periodic, signatures.slice(1), committee), undefined);
  const extra = await signCheckpoint(periodic, 1, (net.validators[1] as TestActor).signer);
  const more = formCertificate(periodic, [...signatures, extra], committee);
  t.deepEqual(more?.signatures.map(({ author }) => author), [0, 1, 2]);
  await verifyCertificate(decodeCertificate(more?.bytes ?? extra.sign1), committee, verifier);
  const [a, b, c] = signatures as readonly [Signed, Signed, Signed];
  for (const list of [[a, b], [a, b, b], [b, a, c], [a, extra, b, c], []]) {
    const written = encode({
      t: 'certificate',
      v: 1,
      checkpoint: periodic.bytes,
      signatures: list.map(({ author, sign1 }) => [author, sign1]),
    });
    const run = verifyCertificate(decodeCertificate(written), committee, verifier);
    await t.throwsAsync(run, { code: 'bad_certificate' });
  }
  const swapped = { ...decodeCertificate(bytesAt('certificate')), checkpoint: idle };
  await t.throwsAsync(verifyCertificate(swapped, committee, verifier), {
    code: 'bad_checkpoint_signature',
  });
  const later = new Committee(1, committee.validators);
  await t.throwsAsync(
    verifyCertificate(decodeCertificate(bytesAt('certificate')), later, verifier),
    { code: 'foreign_committee' },
  );
});

test('a checkpoint of any other form is refused with a code', (t) => {
  const fields = dagCbor<Record<string, unknown>>(periodic.bytes);
  const { prev: _prev, ...lacking } = fields;
  const cases: [string, object][] = [
    ['wrong_type', lacking],
    ['unknown_field', { ...fields, extra: 1 }],
    ['unknown_version', { ...fields, v: 2 }],
    ['wrong_object', { ...fields, t: 'block' }],
    ['out_of_range', { ...fields, cut: 'daily' }],
    ['out_of_range', { ...fields, size: 0 }],
    ['out_of_range', { ...fields, cut: 'epoch' }],
    ['out_of_range', { ...fields, nextCommittee: new Uint8Array(32) }],
    ['wrong_type', { ...fields, root: new Uint8Array(31) }],
    ['wrong_type', { ...fields, commit: [1] }],
    ['wrong_type', { ...fields, state: linkOf('ab'.repeat(32)) }],
  ];
  for (const [code, object] of cases) t.throws(() => decodeCheckpoint(encode(object)), { code });
  const long = Uint8Array.of(...periodic.bytes, 0);
  t.throws(() => decodeCheckpoint(long), { code: 'not_canonical' });
  t.not(makeCheckpoint({ ...periodic, size: 1 }).id, periodic.id);
});
