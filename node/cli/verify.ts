import { Option } from 'commander';
import type { Command } from 'commander';
import { X0tError } from '#ledger/errors.ts';
import { textOf } from '#ledger/ids.ts';
import type { SignatureJob, Verifier } from '#ledger/ports.ts';
import { verifyReceipt } from '#ledger/receipt-check.ts';
import type { Proven } from '#ledger/receipt-check.ts';
import { verdictName } from '#ledger/verdicts.ts';
import { loadEngine } from '#native/engine.ts';
import type { EngineName } from '#native/engine.ts';
import { addCommand } from './command.ts';
import { EXIT, exitCodeOf } from './exit-codes.ts';
import { readInput } from './files.ts';
import { columns, counted, utc } from './output.ts';

interface VerifyOptions {
  readonly genesis: string;
  readonly trustedCheckpoint?: string;
  readonly consistency?: string;
  readonly engine: EngineName;
}

/** `x0t verify RECEIPT`: offline, against nothing but the genesis object. */
export function registerVerify(program: Command): void {
  const about = 'verify a receipt offline, without a node';
  const { command, does } = addCommand<VerifyOptions>(program, 'verify <receipt>', about, [
    'x0t verify deed.receipt --genesis genesis.cbor',
    'x0t verify deed.receipt --genesis genesis.cbor --trusted-checkpoint seen.checkpoint',
  ]);
  command
    .requiredOption('--genesis <file>', 'the genesis object of the network (genesis.cbor)')
    .option('--trusted-checkpoint <file>', 'a certificate that you saw before')
    .option('--consistency <file>', 'the proof between the receipt and the trusted checkpoint')
    .addOption(
      new Option('--engine <name>', 'what verifies')
        .choices(['liboqs', 'openssl'])
        .default('liboqs'),
    );
  does(async (out, options, path = '') => {
    const { trustedCheckpoint, consistency } = options;
    const receipt = readInput(path);
    const genesis = readInput(options.genesis);
    const trusted =
      trustedCheckpoint === undefined
        ? undefined
        : {
            certificate: readInput(trustedCheckpoint),
            ...(consistency !== undefined && { consistency: readInput(consistency) }),
          };
    const verifier = await directVerifier(options.engine);
    try {
      const proven = await verifyReceipt(receipt, genesis, verifier, trusted ? { trusted } : {});
      const shown = jsonOf(proven, trusted !== undefined);
      out.show(shown, () => describe(proven, trusted !== undefined));
    } catch (error) {
      // whatever does not hold in what was given is what the check was asked for
      const isFault = error instanceof X0tError && exitCodeOf(error) !== EXIT.internal;
      if (!isFault) throw error;
      const { code, message, data } = error;
      out.show({ ok: false, code, message, detail: data }, () => `INVALID: ${message} (${code})`);
      process.exitCode = EXIT.failedCheck;
    }
  });
}

async function directVerifier(name: EngineName): Promise<Pick<Verifier, 'verify'>> {
  const engine = await loadEngine(name);
  return { verify: async (jobs: readonly SignatureJob[]) => jobs.map((job) => engine.verify(job)) };
}

function jsonOf(proven: Proven, isTrusted: boolean): object {
  const { chain, network, entry, signedBy, key, seq, verdict, checkpoint, signers } = proven;
  return {
    ok: true,
    network,
    chain: textOf(chain),
    event: textOf(entry.id),
    kind: entry.event.kind,
    actor: entry.event.actor,
    signedBy,
    key,
    seq,
    verdict: verdictName(verdict),
    checkpoint: {
      id: textOf(checkpoint.id),
      epoch: checkpoint.epoch,
      size: checkpoint.size,
      ts_ms: checkpoint.ts_ms,
    },
    signers,
    committeeSize: proven.committeeSize,
    trustedCheckpoint: isTrusted,
  };
}

function describe(proven: Proven, isTrusted: boolean): string {
  const { chain, network, entry, signedBy, key, seq, verdict, checkpoint, signers } = proven;
  const { event } = entry;
  const { size, epoch, ts_ms } = checkpoint;
  const author = signedBy === 'actor' ? 'by its actor' : "by its actor's block";
  const signed = `${signers.length} of ${counted(proven.committeeSize, 'validator')}`;
  return `VALID\n${columns([
    ['network', network],
    ['chain', textOf(chain)],
    ['event', textOf(entry.id)],
    ['kind', event.kind],
    ['actor', event.actor],
    ['signed', `${author}, key ${key}`],
    ['seq', seq],
    ['verdict', verdictName(verdict)],
    ['checkpoint', `${size} events, epoch ${epoch}, ${utc(ts_ms)}`],
    ['certified', signed],
    ['history', isTrusted ? 'agrees with the trusted checkpoint' : 'from the genesis'],
  ])}`;
}
