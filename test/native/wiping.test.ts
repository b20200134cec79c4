import test from 'ava';

/** What is used of the global `WebAssembly`, whose types come with those of the DOM only. */
interface WasmGlobal {
  instantiate(bytes: Uint8Array, imports: object): Promise<{ instance: { exports: object } }>;
}

test('no secret stays in WebAssembly memory after keys are made and messages signed', async (t) => {
  const memories: ArrayBuffer[] = [];
  const wasm: WasmGlobal = Reflect.get(globalThis, 'WebAssembly');
  const instantiate = wasm.instantiate.bind(wasm);
  // The library keeps its memory to itself, so it is caught where it comes into being.
  wasm.instantiate = async (bytes, imports) => {
    const source = await instantiate(bytes, imports);
    for (const each of Object.values(source.instance.exports)) {
      if (each?.buffer instanceof ArrayBuffer) memories.push(each.buffer);
    }
    return source;
  };
  const { generateKeyPair, loadOqs } = await import('#native/oqs.ts');
  const { publicKey, secretKey } = await generateKeyPair();
  const signer = (await loadOqs()).createSigner(secretKey, publicKey);
  const signature = await signer.sign(new Uint8Array(100));
  wasm.instantiate = instantiate;

  t.is(signature.length, 3309);
  t.is(memories.length, 1);
  const memory = Buffer.from(memories[0] ?? new ArrayBuffer(0));
  t.true(memory.length > 1_000_000);
  // FIPS 204 skEncode: rho (public), K, tr (public), then s1, s2, t0.
  for (const at of [32, 128, 768, 1536, 4000]) {
    t.is(memory.indexOf(secretKey.subarray(at, at + 32)), -1, `secret bytes from ${at}`);
  }
});
