import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Server, ServerCredentials } from '@grpc/grpc-js';
import type { Metadata, ServerWritableStream, sendUnaryData } from '@grpc/grpc-js';
import { WORKLOAD_SERVICE } from '#node/identity/workload-proto.ts';

/** What the agent does with a call: a message and the stream stays open, or a code ends it. */
export type Answer = { readonly message: object } | { readonly code: number };

/**
 * A Workload API that says what the test wants, also what no right one would. Answers are taken in
 * turn; the last one is repeated.
 */
export class FakeAgent {
  readonly socket = join(mkdtempSync(join(tmpdir(), 'x0t-')), 'agent.sock');
  /** The method of each call with the values of its security header. */
  readonly calls: { readonly method: string; readonly header: readonly unknown[] }[] = [];
  readonly #server = new Server({ 'grpc.enable_channelz': 0 });
  readonly #answers = new Map<string, Answer[]>();
  readonly #open = new Map<string, Set<ServerWritableStream<object, object>>>();

  constructor() {
    const unary = (name: string) =>
      (call: { request: object; metadata: Metadata }, done: sendUnaryData<object>): void => {
        const answer = this.#answer(name, call.metadata);
        if ('code' in answer) done({ code: answer.code, details: 'by the test' });
        else done(null, answer.message);
      };
    this.#server.addService(WORKLOAD_SERVICE, {
      FetchX509SVID: this.#stream('FetchX509SVID'),
      FetchX509Bundles: this.#stream('FetchX509Bundles'),
      FetchJWTBundles: this.#stream('FetchJWTBundles'),
      FetchJWTSVID: unary('FetchJWTSVID'),
      ValidateJWTSVID: unary('ValidateJWTSVID'),
    });
  }

  async listen(): Promise<this> {
    await new Promise<void>((resolve, reject) => {
      const creds = ServerCredentials.createInsecure();
      this.#server.bindAsync(`unix://${this.socket}`, creds, (error) =>
        error ? reject(error) : resolve(),
      );
    });
    return this;
  }

  answers(method: string, ...answers: Answer[]): void {
    this.#answers.set(method, answers);
  }

  /** Sends on every open stream of a method. */
  push(method: string, message: object): void {
    for (const call of this.#open.get(method) ?? []) call.write(message);
  }

  /** Ends every open stream of a method, without or with an error. */
  end(method: string, code = 0): void {
    for (const call of this.#open.get(method) ?? []) {
      if (code === 0) call.end();
      else call.emit('error', { code, details: 'by the test' });
    }
    this.#open.delete(method);
  }

  count(method: string): number {
    return this.calls.filter((call) => call.method === method).length;
  }

  close(): void {
    this.#server.forceShutdown();
  }

  #stream(name: string) {
    return (call: ServerWritableStream<object, object>): void => {
      const answer = this.#answer(name, call.metadata);
      if ('code' in answer) {
        call.emit('error', { code: answer.code, details: 'by the test' });
        return;
      }
      const open = this.#open.get(name) ?? new Set();
      this.#open.set(name, open.add(call));
      call.write(answer.message);
    };
  }

  #answer(method: string, metadata: Metadata): Answer {
    this.calls.push({ method, header: metadata.get('workload.spiffe.io') });
    const answers = this.#answers.get(method) ?? [];
    // 12: unimplemented, so that a client does not ask again
    return (answers.length > 1 ? answers.shift() : answers[0]) ?? { code: 12 };
  }
}
