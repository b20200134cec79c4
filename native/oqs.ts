/**
 * ML-DSA-65 by Open Quantum Safe's liboqs, compiled to WebAssembly (`@oqs/liboqs-js`). Synchronous
 * once loaded. Randomness comes from Node's `crypto`. The package's own caveat (research and
 * prototyping) is in `docs/crypto.md`.
 */
import { readFile } from 'node:fs/promises';
import type { MLDSA65 } from '@oqs/liboqs-js/sig';
import type { ClosableSigner, Engine, KeyPair } from './engine.ts';
import { X0tError, fail } from '#ledger/errors.ts';
import type { SignatureJob } from '#ledger/ports.ts';
import { MESSAGE_BYTES_MAX, plausible } from './engine.ts';
import { checkKeyPair } from './secret-key.ts';

// Emscripten's names begin with an underscore.
/* oxlint-disable no-underscore-dangle */

/** What is used of the Emscripten module below the library's class. */
interface WasmModule {
  _OQS_init(): void;
  _OQS_SIG_new(name: number): number;
  _OQS_MEM_cleanse(pointer: number, bytes: number): void;
  _malloc(bytes: number): number;
  _free(pointer: number): void;
  lengthBytesUTF8(text: string): number;
  stringToUTF8(text: string, pointer: number, bytes_max: number): void;
}

interface Loaded extends Engine {
  readonly sig: MLDSA65;
}

let loading: Promise<Loaded> | undefined;

/** The engine, one instance per thread. Rejects with `engine_missing`. */
export function loadOqs(): Promise<Engine> {
  return loaded();
}

/**
 * A fresh random key pair. liboqs offers no derivation from a seed. The secret is wiped from
 * WebAssembly memory; the returned copy is the caller's to wipe.
 */
export async function generateKeyPair(): Promise<KeyPair> {
  return (await loaded()).sig.generateKeyPair();
}

function loaded(): Promise<Loaded> {
  loading ??= load().catch((error: unknown) => {
    loading = undefined;
    throw new X0tError(
      'engine_missing',
      'liboqs did not load; reinstall @oqs/liboqs-js',
      {},
      { cause: error },
    );
  });
  return loading;
}

/**
 * Imports only this algorithm's two modules: 4 ms instead of 50 to 80 ms for the package's own
 * entry points.
 */
async function load(): Promise<Loaded> {
  const door = import.meta.resolve('@oqs/liboqs-js/sig');
  const wrapper: { MLDSA65: new (module: object, sig: number) => MLDSA65 } = await import(
    new URL('./algorithms/sig/ml-dsa/ml-dsa-65.js', door).href
  );
  const binary: { default: () => Promise<WasmModule> } = await import(
    new URL('../dist/ml-dsa-65.min.js', door).href
  );
  const { version } = JSON.parse(await readFile(new URL('../package.json', door), 'utf8'));
  const wasm = wiping(await binary.default());
  wasm._OQS_init();
  const name = wasm._malloc(wasm.lengthBytesUTF8('ML-DSA-65') + 1);
  wasm.stringToUTF8('ML-DSA-65', name, wasm.lengthBytesUTF8('ML-DSA-65') + 1);
  const pointer = wasm._OQS_SIG_new(name);
  wasm._free(name);
  if (pointer === 0) throw new Error('OQS_SIG_new returned no ML-DSA-65');
  const sig = new wrapper.MLDSA65(wasm, pointer);
  const engine = `liboqs ${version} (wasm)`;
  return {
    engine,
    sig,
    verify: (job) => verify(sig, job),
    createSigner: (secretKey, publicKey) => createSigner(engine, sig, secretKey, publicKey),
  };
}

/**
 * The same module, but what is freed is wiped first: the library copies the secret key into
 * WebAssembly memory for every signature and frees it as it is. Also turns a failed allocation into
 * an error: the library would write to 0.
 */
function wiping(module: WasmModule): WasmModule {
  const bytesAt = new Map<number, number>();
  const wiped: WasmModule = Object.create(module);
  wiped._malloc = (bytes) => {
    const pointer = module._malloc(bytes);
    if (pointer === 0) throw new Error('WebAssembly memory is exhausted');
    bytesAt.set(pointer, bytes);
    return pointer;
  };
  wiped._free = (pointer) => {
    module._OQS_MEM_cleanse(pointer, bytesAt.get(pointer) ?? 0);
    bytesAt.delete(pointer);
    module._free(pointer);
  };
  return wiped;
}

function verify(sig: MLDSA65, job: SignatureJob): boolean {
  return (
    plausible(job) && sig.verify(plain(job.message), plain(job.signature), plain(job.publicKey))
  );
}

/** A view that is no subclass: the library looks at the constructor's name and refuses a Buffer. */
function plain(bytes: Uint8Array): Uint8Array {
  return new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function createSigner(
  engine: string,
  sig: MLDSA65,
  secretKey: Uint8Array,
  publicKey: Uint8Array,
): ClosableSigner {
  checkKeyPair(secretKey, publicKey);
  const secret = Uint8Array.from(secretKey);
  let isClosed = false;
  return {
    engine,
    publicKey: Uint8Array.from(publicKey),
    async sign(message) {
      if (isClosed) fail('engine_closed', 'This signer was closed; load the key again');
      if (message.length > MESSAGE_BYTES_MAX) {
        fail('message_too_long', `Sign at most ${MESSAGE_BYTES_MAX} bytes`, {
          bytes: message.length,
        });
      }
      return sig.sign(plain(message), secret);
    },
    close() {
      isClosed = true;
      secret.fill(0);
    },
  };
}
