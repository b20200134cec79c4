/**
 * Writes `checkpoint-golden.json` anew: `node test/ledger/make-checkpoint-golden.ts`. Only for a
 * new version of the wire format: the file is what older releases wrote.
 */
import { existsSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { AUTHORS, checkpointValues, net, signedBytes } from './checkpoint-objects.ts';
import type { CheckpointGolden } from './checkpoint-objects.ts';

const file = new URL('./checkpoint-golden.json', import.meta.url);
if (existsSync(file) && process.argv[2] !== '--again') {
  throw new Error('checkpoint-golden.json is there: give --again to replace it');
}
const signatures: Uint8Array[] = [];
for (const author of AUTHORS) {
  const signature = await net.validators[author]?.signer.sign(signedBytes);
  if (signature) signatures.push(signature);
}
const golden: CheckpointGolden = {
  comment: 'Checkpoints and a certificate of wire version 1: bytes in base64, ids in hex.',
  signatures: signatures.map((signature) => signature.toBase64()),
  values: checkpointValues(signatures),
};
await writeFile(file, `${JSON.stringify(golden, null, 2)}\n`);
