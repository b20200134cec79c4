import { CommanderError } from 'commander';
import { X0tError } from '#ledger/errors.ts';
import { ApiError } from '#node/client.ts';

/** What the process ends with (docs/cli.md). */
export const EXIT = {
  ok: 0,
  /** A check that was asked for found a fault. */
  failedCheck: 1,
  usage: 2,
  unreachable: 3,
  /** The node answered with an error. */
  refused: 4,
  /** The data directory or a key file cannot be used as it is. */
  dataDirectory: 5,
  /** An address of this machine cannot be listened on. */
  listen: 6,
  /** A fault of this program. */
  internal: 70,
} as const;

const UNREACHABLE = new Set([
  'bundle_endpoint_failed',
  'join_timeout',
  'node_unreachable',
  'node_timeout',
  'listener_foreign',
  'not_x0t',
  'tls_failed',
  'workload_unavailable',
]);
/** What the network said, found by asking again and again; what a Workload API said. */
const REFUSED = new Set([
  'final_timeout',
  'join_refused',
  'member_removed',
  'member_transition',
  'not_applied',
  'workload_denied',
  'workload_no_svid',
  'workload_refused',
]);
const LISTEN = new Set(['api_port_taken', 'listen_failed']);
const FAILED_CHECK = new Set([
  'policy_contradicts_schema',
  'policy_denies_everyone',
  'policy_invalid',
  'policy_lockout',
  'policy_schema_invalid',
  'rebuild_differs',
  'testnet_disagrees',
  'testnet_node_ended',
]);
const DATA_DIRECTORY = new Set([
  'backup_malformed',
  'config_invalid',
  'config_malformed',
  'data_dir_locked',
  'data_dir_newer',
  'data_dir_other_network',
  'join_file_malformed',
  'key_exists',
  'key_malformed',
  'key_not_held',
  'key_not_read',
  'key_of_other',
  'key_pair_mismatch',
  'key_unreadable',
  'network_key_unknown',
  'not_empty',
  'not_initialised',
  'passphrase_missing',
  'passphrase_unreadable',
  'passphrase_wrong',
  'peer_key_invalid',
  'policy_engine_differs',
  'pruned',
  'rebuild_interrupted',
  'schema_mismatch',
  'secret_key_malformed',
  'store_corrupt',
  'store_failed',
  'store_missing',
  'testnet_malformed',
  'testnet_other_size',
  'token_unreadable',
  'unknown_policy',
]);

/** Also an engine for signatures or policies that broke down: nothing that was given is wrong. */
const INTERNAL = new Set(['internal', 'engine_failed']);

/** The exit code for anything that a command threw. */
export function exitCodeOf(error: unknown): number {
  if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.ok : EXIT.usage;
  if (error instanceof ApiError) return EXIT.refused;
  if (!(error instanceof X0tError)) return EXIT.internal;
  if (UNREACHABLE.has(error.code)) return EXIT.unreachable;
  if (REFUSED.has(error.code)) return EXIT.refused;
  if (LISTEN.has(error.code)) return EXIT.listen;
  if (FAILED_CHECK.has(error.code)) return EXIT.failedCheck;
  if (DATA_DIRECTORY.has(error.code)) return EXIT.dataDirectory;
  if (INTERNAL.has(error.code)) return EXIT.internal;
  // what is left are faults of what was given: a file, an id, an address
  return EXIT.usage;
}
