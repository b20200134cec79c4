import { X0tError, fail } from '#ledger/errors.ts';
import type { ErrorEnvelope } from '#node/api/errors.ts';
import { ApiError } from './client-errors.ts';

/** Characters of one message: an event of maximal size as JSON, its body in base64. */
const MESSAGE_CHARS_MAX = 1024 * 1024;

/** What a message says: where it stands in the log, and what happened there. */
export interface StreamMessage {
  readonly id?: number;
  readonly data?: string;
}

/**
 * The messages of a server-sent event stream (WHATWG HTML, section 9.2), for lines that end with LF
 * as our API sends them. Comments and other fields are skipped. Throws `stream_malformed` for a
 * message without end, and the error that the node ends a stream with.
 */
export async function* messagesOf(body: AsyncIterable<Uint8Array>): AsyncIterable<StreamMessage> {
  const utf8 = new TextDecoder();
  let rest = '';
  for await (const chunk of body) {
    rest += utf8.decode(chunk, { stream: true });
    const messages = rest.split('\n\n');
    rest = messages.pop() ?? '';
    if (rest.length > MESSAGE_CHARS_MAX) {
      fail('stream_malformed', 'The stream sends a message without end: check --url.');
    }
    for (const message of messages) yield messageOf(message);
  }
}

function messageOf(message: string): StreamMessage {
  const lines = message.split('\n');
  const values = lines.filter((line) => line.startsWith('data:'));
  const data = values.map((line) => line.slice(5).trimStart()).join('\n');
  if (lines.includes('event: error')) throw endOf(data);
  const [, id] = /^id: (\d{1,15})$/m.exec(message) ?? [];
  return { ...(id !== undefined && { id: Number(id) }), ...(values.length > 0 && { data }) };
}

/** Statuses are for answers as a whole: this one had begun well. */
const STATUS_BEGUN = 200;

function endOf(data: string): X0tError {
  try {
    return new ApiError(STATUS_BEGUN, JSON.parse(data) as ErrorEnvelope);
  } catch (cause) {
    const message = 'The stream ends with an error that cannot be read.';
    return new X0tError('stream_malformed', message, {}, { cause });
  }
}
