import { join } from 'node:path';

/** The file in which a running node tells its API's address, for the CLI on the same machine. */
export function addressFile(directory: string): string {
  return join(directory, 'api.url');
}
