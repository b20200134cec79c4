/** The engine, as far as the scenarios need it. */
import { execFile } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';

const DEPLOY = join(import.meta.dirname, '..');
/** Names of the images, where Compose looks for them. */
const ENV_FILE = join(DEPLOY, '.env');
const COMMAND_MS_MAX = 240_000;
const OUTPUT_BYTES_MAX = 16 * 1024 * 1024;
const runFile = promisify(execFile);

export class Compose {
  readonly #project: string;

  constructor(project: string) {
    this.#project = project;
  }

  /** `docker compose ARGS` for this network; gives what it printed, throws with its complaint. */
  run(...args: readonly string[]): Promise<string> {
    const file = join(DEPLOY, 'compose.yaml');
    return docker('compose', '--project-name', this.#project, '--file', file, ...args);
  }

  /** Name of a service's container, whether it runs or not. */
  container(service: string): string {
    return `${this.#project}-${service}-1`;
  }

  /** Base URL of a service's API on this machine. */
  async url(service: string): Promise<string> {
    return `http://${(await this.run('port', service, '8420')).trim()}`;
  }

  /** The first operator's key file, from the one container that has it. Secret. */
  operatorKey(): Promise<string> {
    const script = "process.stdout.write(require('fs').readFileSync(process.argv[1]))";
    const command = ['-e', script, '/net/operators/operator-1.key'];
    const options = ['--rm', '--no-deps', '-T', '--entrypoint', 'node'];
    return this.run('run', ...options, 'operator', ...command);
  }

  /** Takes a node out of the peers' network; its API stays in reach. Again: nothing happens. */
  async disconnect(service: string): Promise<void> {
    if (!(await this.#isConnected(service))) return;
    await docker('network', 'disconnect', this.#mesh, this.container(service));
  }

  async connect(service: string): Promise<void> {
    if (await this.#isConnected(service)) return;
    const names = ['--alias', `${service}.mesh`, '--alias', service];
    await docker('network', 'connect', ...names, this.#mesh, this.container(service));
  }

  kill(service: string): Promise<string> {
    return docker('kill', '--signal', 'KILL', this.container(service));
  }

  start(service: string): Promise<string> {
    return docker('start', this.container(service));
  }

  async #isConnected(service: string): Promise<boolean> {
    const format = '--format={{json .NetworkSettings.Networks}}';
    const networks = JSON.parse(await docker('inspect', format, this.container(service))) as object;
    return Object.hasOwn(networks, this.#mesh);
  }

  get #mesh(): string {
    return `${this.#project}_mesh`;
  }
}

/** The image that the next `up` takes for our services. */
export function presentImage(): string {
  return /^X0T_IMAGE=(.*)$/m.exec(readFileSync(ENV_FILE, 'utf8'))?.[1] ?? '';
}

export function setImage(image: string): void {
  const text = readFileSync(ENV_FILE, 'utf8');
  writeFileSync(ENV_FILE, text.replace(/^X0T_IMAGE=.*$/m, `X0T_IMAGE=${image}`));
}

async function docker(...args: readonly string[]): Promise<string> {
  try {
    const limits = { timeout: COMMAND_MS_MAX, maxBuffer: OUTPUT_BYTES_MAX };
    return (await runFile('docker', [...args], limits)).stdout;
  } catch (cause) {
    const { stderr = '', message } = cause as { stderr?: string; message: string };
    const last = stderr.trim().split('\n').slice(-8).join('\n');
    throw new Error(`docker ${args.join(' ')}: ${last || message}`, { cause });
  }
}
