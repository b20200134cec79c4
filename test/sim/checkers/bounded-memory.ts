import { GC_DEPTH } from '#ledger/limits.ts';
import type { MakeChecker } from './index.ts';

/** Waiting blocks of one author (`WaitingBlocks`). */
const WAITING_PER_AUTHOR_MAX = 256;
/**
 * Rounds of the DAG above the horizon: the depth, the open wave, and what is decided late under
 * faults. Without a quorum no round begins, so time alone adds none.
 */
const ROUNDS_MAX = 4 * GC_DEPTH;
/** Bytes of blocks that wait for a turn: what the intake lets through, and one block more. */
const BACKLOG_BYTES_MAX = 65 * 1024 * 1024;

/** Queues stay in their bounds during the run, and are empty when all is quiet. */
export const boundedMemory: MakeChecker = (world, report) => {
  return {
    sample() {
      for (const { core, name } of world.honest) {
        if (!core) continue;
        const { committee, waiting, orderer, pool, backlogBytes } = core.replica;
        const n = committee.size;
        if (waiting.size > WAITING_PER_AUTHOR_MAX * n) report(`${name}: ${waiting.size} waiting`);
        const { dag } = orderer;
        const blocks_max = 2 * n * ROUNDS_MAX;
        if (dag.size > blocks_max) report(`${name}: ${dag.size} blocks in the DAG`);
        if (pool.size > world.scenario.load.length * 4 + 64) {
          report(`${name}: ${pool.size} events in the pool`);
        }
        if (backlogBytes > BACKLOG_BYTES_MAX) report(`${name}: ${backlogBytes} bytes of blocks`);
      }
    },
    end() {
      for (const { core, name } of world.honest) {
        if (!core) continue;
        const { waiting, orderer, pool } = core.replica;
        if (pool.size > 0) report(`${name}: ${pool.size} events left in the pool`);
        // what only a faulty node has is waited for
        if (world.nodes.some(({ isHonest }) => !isHonest)) continue;
        if (waiting.size > 0) report(`${name}: ${waiting.size} blocks left waiting`);
        if (orderer.openCount > 0) report(`${name}: ${orderer.openCount} payloads left open`);
      }
    },
  };
};
