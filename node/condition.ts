import type { Core } from '#ledger/core.ts';
import type { Readiness } from '#node/api/index.ts';
import type { NodeConfig } from './config.ts';
import type { DataDir } from './data-dir.ts';

/** What a node can do now, and what it cannot. */

/**
 * Ready to serve: up, in step with the others, and with finality not halted. Without a quorum it
 * still accepts.
 */
export function readiness(
  { antiEntropy, replica }: Core,
  isUp: boolean,
  more: readonly string[],
): Readiness {
  const reasons = [...more];
  if (!isUp) reasons.push('the node is starting or stopping');
  const { isRunning, target, snapshot } = antiEntropy.catchUp;
  if (snapshot) {
    const { size, done_bytes, total_bytes } = snapshot;
    reasons.push(`fetching a snapshot of ${size} events: ${done_bytes} of ${total_bytes} bytes`);
  } else if (isRunning) {
    reasons.push(`catching up: commit ${replica.orderer.state.last.index} of ${target}`);
  }
  if (replica.isHalted) reasons.push('finality is halted: see the alarms in /v1/status');
  return { ready: reasons.length === 0, reasons };
}

/** What this node cannot do, said at start and in the status. */
export function limitationsOf(
  { crypto, p2p }: NodeConfig,
  { replica }: Core,
  { actor, isSealed }: DataDir,
): string[] {
  const limitations = [
    'Links between peers are not yet secure against quantum computers; events and blocks are.',
  ];
  if (replica.hasForgotten) {
    const what = 'The store was lost or set back';
    limitations.push(`${what}: this node follows and seals no blocks in this epoch.`);
  }
  if (replica.lacksKey) {
    const what = 'The ledger names a key for this node that is not in its directory';
    limitations.push(`${what}: it follows until the key is there.`);
  }
  const { reducer } = replica.fold;
  if (reducer.actorOfKey(actor) !== undefined && reducer.keyOf(actor) === undefined) {
    limitations.push('The key of this node is revoked: nothing that it says counts.');
  }
  if (!replica.fold.cuts.isActive) {
    limitations.push('The store is older than checkpoints: `npx x0t rebuild` lets it sign them.');
  }
  if (!isSealed) {
    limitations.push('The keys are not encrypted on the disk: `npx x0t key encrypt` does that.');
  }
  if (crypto.workers === 0) limitations.push('Signatures are checked on the main thread.');
  if (p2p.bootstrap.length === 0 && !p2p.mdns) {
    limitations.push('No peers to dial are configured: others must dial this node.');
  }
  return limitations;
}
