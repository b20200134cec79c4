import { existsSync } from 'node:fs';
import { join } from 'node:path';

type DataPath =
  | 'genesis'
  | 'key'
  | 'keys'
  | 'peerKey'
  | 'operatorKey'
  | 'config'
  | 'join'
  | 'apiToken'
  | 'monitorToken'
  | 'apiAhead'
  | 'store'
  | 'claimed';

/** Paths in a data directory. */
export function dataPaths(
  directory: string,
): Readonly<Record<DataPath, string>> {
  return {
    genesis: join(directory, 'genesis.cbor'),
    key: join(directory, 'node.key'),
    // further keys of the node: of before and after a rotation
    keys: join(directory, 'keys'),
    peerKey: join(directory, 'peer.key'),
    // with which commands sign for the operator of the directory, where there is one
    operatorKey: join(directory, 'operator.key'),
    config: join(directory, 'config.json'),
    // of a node that is not on the ledger yet
    join: join(directory, 'join.cbor'),
    // with which requests prove that they come from who owns the directory
    apiToken: join(directory, 'api.token'),
    // with which metrics are read
    monitorToken: join(directory, 'monitor.token'),
    // up to when requests were taken whose time is ahead
    apiAhead: join(directory, 'api.ahead'),
    store: join(directory, 'store'),
    // beside the store, so that it outlives it
    claimed: join(directory, 'store.claimed'),
  };
}

/** Whether a node was set up here. */
export function isInitialised(directory: string): boolean {
  return existsSync(dataPaths(directory).genesis);
}
