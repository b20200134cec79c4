import type { Command } from 'commander';
import { openChain } from '#ledger/chain.ts';
import { textOf } from '#ledger/ids.ts';
import { exportCar } from '#node/audit/index.ts';
import type { ExportReport } from '#node/audit/index.ts';
import { claimStore } from '#node/data-dir.ts';
import { schemaFor } from '#node/schema.ts';
import { addCommand } from './command.ts';
import { columns } from './output.ts';
import { withData } from './places.ts';
import type { DataOption } from './places.ts';
import { startProgress } from './progress.ts';
import { withStore } from './stopped-store.ts';

interface Options extends DataOption {
  readonly car: string;
}

export function registerExport(program: Command): void {
  const about = "write a stopped node's log into a CAR file for auditors";
  const { command, does } = addCommand<Options>(program, 'export', about, [
    'x0t export --car log.car',
    'x0t export --data ./testnet/node-1 --car log.car',
  ]);
  withData(command).requiredOption('--car <file>', 'the new file');
  does(async (out, { data, car: file }) => {
    const { bytes, root, manifest } = await exportTo(data, file);
    const { chain, blocks, size } = manifest;
    const shown = {
      file,
      bytes,
      root: textOf(root),
      chain: textOf(chain),
      blocks,
      finalEvents: size,
      commits: manifest.commit.index,
    };
    out.show(shown, () => columns(Object.entries(shown)));
  });
}

async function exportTo(directory: string, file: string): Promise<ExportReport> {
  const bar = startProgress('export', 'blocks');
  try {
    return await withStore(directory, async (store, genesis) => {
      const chain = openChain(genesis);
      await claimStore(store, chain);
      const progress = ({ done, total }: { done: number; total: number }) => bar.set(done, total);
      return exportCar({ store, chain, schema: schemaFor(chain.genesis), file, progress });
    });
  } finally {
    bar.stop();
  }
}
