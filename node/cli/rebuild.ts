import type { Command } from 'commander';
import { openChain } from '#ledger/chain.ts';
import { claimStore } from '#node/data-dir.ts';
import { rebuildProjections } from '#node/rebuild.ts';
import type { RebuildReport } from '#node/rebuild.ts';
import { schemaFor } from '#node/schema.ts';
import { addCommand } from './command.ts';
import { columns } from './output.ts';
import { withData } from './places.ts';
import type { DataOption } from './places.ts';
import { startProgress } from './progress.ts';
import { withStore } from './stopped-store.ts';

export function registerRebuild(program: Command): void {
  const about = 'drop the projections of a stopped node and make them again from its log';
  const { command, does } = addCommand<DataOption>(program, 'rebuild', about, [
    'x0t rebuild',
    'x0t rebuild --data ./testnet/node-1',
  ]);
  withData(command);
  does(async (out, { data }) => {
    const { summary, commits, isResumed } = await rebuild(data);
    const { size, logRoot, stateRoot, projections } = summary;
    const shown = { commits, finalEvents: size, logRoot, stateRoot, projections, isResumed };
    out.show(shown, () => {
      const rows = columns([
        ['commits', commits],
        ['final events', size],
        ['log root', logRoot],
        ['state root', stateRoot],
        ...projections.map(({ name, version, root }) => [`${name}/${version}`, root] as const),
      ]);
      return `Rebuilt: the same state as before.\n${rows}`;
    });
  });
}

async function rebuild(directory: string): Promise<RebuildReport> {
  const bar = startProgress('rebuild', 'commits');
  try {
    return await withStore(directory, async (store, genesis) => {
      const chain = openChain(genesis);
      await claimStore(store, chain);
      const schema = schemaFor(chain.genesis);
      return rebuildProjections(store, chain, schema, ({ phase, done, total }) => {
        if (phase === 'fold' && total !== undefined) bar.set(done, total);
      });
    });
  } finally {
    bar.stop();
  }
}
