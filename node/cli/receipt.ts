import type { Command } from 'commander';
import { decodeCertificate } from '#ledger/certificate.ts';
import { parseId, textOf } from '#ledger/ids.ts';
import { decodeReceipt } from '#ledger/receipt.ts';
import { addCommand, wholeNumber } from './command.ts';
import { saveNew } from './files.ts';
import { columns, utc } from './output.ts';
import { clientOf } from './client.ts';
import { withNode } from './places.ts';
import type { NodeOptions } from './places.ts';

interface SaveOptions extends NodeOptions {
  readonly out?: string;
  readonly timeout: number;
}

interface CheckpointOptions extends NodeOptions {
  readonly out?: string;
  readonly from?: number;
  readonly size?: number;
}

const TIMEOUT_S = 15;
const TIMEOUT_S_MAX = 3600;

/** `x0t receipt ID`: waits for a certificate that covers the event and saves its receipt. */
export function registerReceipt(program: Command): void {
  const about = 'save the receipt of a final event: anyone can verify it without a node';
  const { command, does } = addCommand<SaveOptions>(program, 'receipt <id>', about, [
    'x0t receipt bafyrei…',
    'x0t receipt bafyrei… -o deed.receipt',
  ]);
  withNode(command)
    .option('-o, --out <file>', 'the new file (default: ID.receipt)')
    .option(
      '--timeout <seconds>',
      'how long to wait for a certificate',
      wholeNumber(0, TIMEOUT_S_MAX),
      TIMEOUT_S,
    );
  does(async (out, options, text = '') => {
    const id = parseId(text);
    const bytes = await (await clientOf(options)).waitReceipt(textOf(id), options.timeout * 1000);
    const { seq, certificate } = decodeReceipt(bytes);
    const { size } = decodeCertificate(certificate).checkpoint;
    const file = options.out ?? `${textOf(id)}.receipt`;
    saveNew(file, bytes);
    const shown = { file, bytes: bytes.length, id: textOf(id), seq, size };
    out.show(shown, () => columns(Object.entries(shown)));
  });
}

/** `x0t checkpoint`: saves the newest certificate, or a proof that it continues an older one. */
export function registerCheckpoint(program: Command): void {
  const about = 'save a certified checkpoint to trust later, or a proof between two of them';
  const { command, does } = addCommand<CheckpointOptions>(program, 'checkpoint', about, [
    'x0t checkpoint -o seen.checkpoint',
    'x0t checkpoint --from 120 --size 950 -o grown.consistency',
  ]);
  withNode(command)
    .option('-o, --out <file>', 'a new file for the certificate or the proof')
    .option('--size <events>', 'the one over so many events', wholeNumber(1, 2 ** 53 - 1))
    .option(
      '--from <events>',
      'the proof that its log begins with the log of so many events',
      wholeNumber(1, 2 ** 53 - 1),
    );
  does(async (out, options) => {
    const client = await clientOf(options);
    const bytes = await client.certificate(options.size);
    const { checkpoint, signatures } = decodeCertificate(bytes);
    const { id, epoch, cut, size, root, state, ts_ms } = checkpoint;
    const { from, out: file } = options;
    const saved = from === undefined ? bytes : await client.consistency(from, size);
    if (file !== undefined) saveNew(file, saved);
    const shown = {
      ...(file !== undefined && { file }),
      id: textOf(id),
      ...(from !== undefined && { from }),
      size,
      epoch,
      cut,
      root,
      state,
      time: utc(ts_ms),
      signatures: signatures.length,
    };
    out.show(shown, () => columns(Object.entries(shown)));
  });
}
