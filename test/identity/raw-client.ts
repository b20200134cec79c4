import { Client, Metadata, credentials } from '@grpc/grpc-js';
import type { ServiceError } from '@grpc/grpc-js';
import { SECURITY_HEADER, WORKLOAD_SERVICE } from '#node/identity/workload-proto.ts';
import type { WorkloadMethod } from '#node/identity/workload-proto.ts';

/** Calls of the Workload API without any of the client's care. */
export class RawClient {
  readonly #client: Client;

  constructor(socket: string) {
    this.#client = new Client(`unix://${socket}`, credentials.createInsecure(), {
      'grpc.enable_channelz': 0,
      'grpc.default_authority': 'localhost',
      'grpc.use_local_subchannel_pool': 1,
    });
  }

  /** The first message, or the gRPC code with which the call ends. */
  async first(
    method: WorkloadMethod,
    request: object = {},
    header: string | undefined = 'true',
  ): Promise<{ readonly message?: object; readonly code?: number; readonly details?: string }> {
    const { path, requestSerialize, responseDeserialize, responseStream } =
      WORKLOAD_SERVICE[method];
    const metadata = new Metadata();
    if (header !== '') metadata.set(SECURITY_HEADER, header);
    return new Promise((resolve) => {
      const failed = ({ code, details }: ServiceError): void => resolve({ code, details });
      if (responseStream) {
        const call = this.#client.makeServerStreamRequest(
          path,
          requestSerialize,
          responseDeserialize,
          request,
          metadata,
        );
        call.on('error', failed);
        call.on('data', (message: object) => {
          resolve({ message });
          call.cancel();
        });
        return;
      }
      this.#client.makeUnaryRequest(
        path,
        requestSerialize,
        responseDeserialize,
        request,
        metadata,
        (error: ServiceError | null, message?: object) => {
          if (error) failed(error);
          else resolve({ message: message ?? {} });
        },
      );
    });
  }

  /** A method that the service does not have; ends with the code. */
  async unknown(path: string): Promise<number> {
    const metadata = new Metadata();
    metadata.set(SECURITY_HEADER, 'true');
    return new Promise((resolve) => {
      const same = (bytes: Buffer): Buffer => bytes;
      this.#client.makeUnaryRequest(path, same, same, Buffer.alloc(0), metadata, (error) =>
        resolve(error?.code ?? 0),
      );
    });
  }

  close(): void {
    this.#client.close();
  }
}
