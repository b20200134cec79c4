/**
 * Writes `golden.json` anew: `node test/ledger/make-golden.ts`. Only for a new version of the wire
 * format: the file is what older releases wrote.
 */
import { readFile, writeFile } from 'node:fs/promises';
import { splitBlock } from '#ledger/block.ts';
import { toBeSigned } from '#ledger/cose.ts';
import { encodeEvent } from '#ledger/event.ts';
import { author, base64, fromBase64, goldenValues } from './golden-objects.ts';
import { operator, signedEvent } from './golden-objects.ts';
import type { Golden } from './golden-objects.ts';

const file = new URL('./golden.json', import.meta.url);
const old = await readFile(file, 'utf8').catch(() => undefined);
if (old !== undefined && process.argv[2] !== '--again') {
  throw new Error('golden.json is there: give --again to replace it');
}
const event = await operator.signer.sign(toBeSigned('event', encodeEvent(signedEvent)));
// the header commits to the entries with their signatures, so it is made twice
const draft = await goldenValues({ event, block: new Uint8Array(3309) });
const [header] = splitBlock(fromBase64(String(draft['sealedBlock'])));
const block = await author.signer.sign(toBeSigned('block', header));
const golden: Golden = {
  comment: 'Objects of wire version 1: bytes in base64, ids in hex; keys follow from names.',
  signatures: { event: base64(event), block: base64(block) },
  values: await goldenValues({ event, block }),
};
await writeFile(file, `${JSON.stringify(golden, null, 2)}\n`);
