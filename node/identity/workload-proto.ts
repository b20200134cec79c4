import { fromJSON } from '@grpc/proto-loader';
import type { MethodDefinition } from '@grpc/grpc-js';

/**
 * The service of the SPIFFE Workload API on the wire (Workload API, sections 5 and 6): names and
 * field numbers. It has no package, and nothing may be added to it (section 2).
 */

/** Every call carries it with the value `true` (Workload Endpoint, 3). */
export const SECURITY_HEADER = 'workload.spiffe.io';

export interface X509SvidMessage {
  readonly spiffe_id: string;
  readonly x509_svid: Uint8Array;
  readonly x509_svid_key: Uint8Array;
  readonly bundle: Uint8Array;
  readonly hint: string;
}

export interface X509SvidResponse {
  readonly svids: readonly X509SvidMessage[];
  readonly crl: readonly Uint8Array[];
  readonly federated_bundles: Readonly<Record<string, Uint8Array>>;
}

export interface X509BundlesResponse {
  readonly crl: readonly Uint8Array[];
  readonly bundles: Readonly<Record<string, Uint8Array>>;
}

export interface JwtSvidRequest {
  readonly audience: readonly string[];
  readonly spiffe_id: string;
}

export interface JwtSvidMessage {
  readonly spiffe_id: string;
  readonly svid: string;
  readonly hint: string;
}

export interface JwtSvidResponse {
  readonly svids: readonly JwtSvidMessage[];
}

export interface JwtBundlesResponse {
  readonly bundles: Readonly<Record<string, Uint8Array>>;
}

export interface ValidateJwtSvidRequest {
  readonly audience: string;
  readonly svid: string;
}

export interface ValidateJwtSvidResponse {
  readonly spiffe_id: string;
  readonly claims: StructMessage | null;
}

export interface StructMessage {
  readonly fields: Readonly<Record<string, ValueMessage>>;
}

/** One of the fields is set. */
export interface ValueMessage {
  readonly nullValue?: number;
  readonly numberValue?: number;
  readonly stringValue?: string;
  readonly boolValue?: boolean;
  readonly structValue?: StructMessage;
  readonly listValue?: { readonly values: readonly ValueMessage[] };
}

const field = (type: string, id: number): object => ({ type, id });
const list = (type: string, id: number): object => ({ rule: 'repeated', type, id });
const bytesByName = (id: number): object => ({ keyType: 'string', type: 'bytes', id });
const message = (fields: Record<string, object> = {}): object => ({ fields });
const rpc = (requestType: string, responseType: string, isStream: boolean): object => ({
  requestType,
  responseType,
  ...(isStream && { responseStream: true }),
});

const SCHEMA = {
  nested: {
    SpiffeWorkloadAPI: {
      methods: {
        FetchX509SVID: rpc('X509SVIDRequest', 'X509SVIDResponse', true),
        FetchX509Bundles: rpc('X509BundlesRequest', 'X509BundlesResponse', true),
        FetchJWTSVID: rpc('JWTSVIDRequest', 'JWTSVIDResponse', false),
        FetchJWTBundles: rpc('JWTBundlesRequest', 'JWTBundlesResponse', true),
        ValidateJWTSVID: rpc('ValidateJWTSVIDRequest', 'ValidateJWTSVIDResponse', false),
      },
    },
    X509SVIDRequest: message(),
    X509SVIDResponse: message({
      svids: list('X509SVID', 1),
      crl: list('bytes', 2),
      federated_bundles: bytesByName(3),
    }),
    X509SVID: message({
      spiffe_id: field('string', 1),
      x509_svid: field('bytes', 2),
      x509_svid_key: field('bytes', 3),
      bundle: field('bytes', 4),
      hint: field('string', 5),
    }),
    X509BundlesRequest: message(),
    X509BundlesResponse: message({ crl: list('bytes', 1), bundles: bytesByName(2) }),
    JWTSVIDRequest: message({ audience: list('string', 1), spiffe_id: field('string', 2) }),
    JWTSVIDResponse: message({ svids: list('JWTSVID', 1) }),
    JWTSVID: message({
      spiffe_id: field('string', 1),
      svid: field('string', 2),
      hint: field('string', 3),
    }),
    JWTBundlesRequest: message(),
    JWTBundlesResponse: message({ bundles: bytesByName(1) }),
    ValidateJWTSVIDRequest: message({ audience: field('string', 1), svid: field('string', 2) }),
    ValidateJWTSVIDResponse: message({
      spiffe_id: field('string', 1),
      claims: field('google.protobuf.Struct', 2),
    }),
    google: {
      nested: {
        protobuf: {
          nested: {
            Struct: message({ fields: { keyType: 'string', type: 'Value', id: 1 } }),
            Value: {
              oneofs: {
                kind: {
                  oneof: [
                    'nullValue',
                    'numberValue',
                    'stringValue',
                    'boolValue',
                    'structValue',
                    'listValue',
                  ],
                },
              },
              fields: {
                nullValue: field('NullValue', 1),
                numberValue: field('double', 2),
                stringValue: field('string', 3),
                boolValue: field('bool', 4),
                structValue: field('Struct', 5),
                listValue: field('ListValue', 6),
              },
            },
            NullValue: { values: { NULL_VALUE: 0 } },
            ListValue: message({ values: list('Value', 1) }),
          },
        },
      },
    },
  },
};

export type WorkloadMethod =
  | 'FetchX509SVID'
  | 'FetchX509Bundles'
  | 'FetchJWTSVID'
  | 'FetchJWTBundles'
  | 'ValidateJWTSVID';

/** For `@grpc/grpc-js`. Missing fields come as their defaults: empty texts, bytes, lists, maps. */
export const WORKLOAD_SERVICE = fromJSON(SCHEMA as unknown as Parameters<typeof fromJSON>[0], {
  keepCase: true,
  arrays: true,
  objects: true,
  defaults: true,
  oneofs: false,
})['SpiffeWorkloadAPI'] as unknown as Readonly<
  Record<WorkloadMethod, MethodDefinition<object, object>>
>;

/** JSON as a `google.protobuf.Struct`. */
export function structOf(object: object): StructMessage {
  const fields = Object.entries(object).map(([name, value]) => [name, valueOf(value)] as const);
  return { fields: Object.fromEntries(fields) };
}

function valueOf(value: unknown): ValueMessage {
  if (value === null || value === undefined) return { nullValue: 0 };
  if (typeof value === 'number') return { numberValue: value };
  if (typeof value === 'string') return { stringValue: value };
  if (typeof value === 'boolean') return { boolValue: value };
  if (Array.isArray(value)) return { listValue: { values: value.map(valueOf) } };
  return { structValue: structOf(value) };
}

/** The JSON of a `google.protobuf.Struct`. */
export function objectOf({ fields }: StructMessage): Record<string, unknown> {
  const values = Object.entries(fields).map(([name, value]) => [name, jsonOf(value)] as const);
  return Object.fromEntries(values);
}

function jsonOf(value: ValueMessage): unknown {
  if (value.structValue) return objectOf(value.structValue);
  if (value.listValue) return value.listValue.values.map(jsonOf);
  return value.stringValue ?? value.numberValue ?? value.boolValue ?? null;
}
