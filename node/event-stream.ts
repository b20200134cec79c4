import { fail } from '#ledger/errors.ts';

/** Characters of one message: an event of maximal size as JSON, its body in base64. */
const MESSAGE_CHARS_MAX = 1024 * 1024;

/**
 * The data of each message of a server-sent event stream (WHATWG HTML, section 9.2), for lines that
 * end with LF as our API sends them. Comments and other fields are skipped. Throws
 * `stream_malformed` for a message without end.
 */
export async function* messagesOf(body: AsyncIterable<Uint8Array>): AsyncIterable<string> {
  const utf8 = new TextDecoder();
  let rest = '';
  for await (const chunk of body) {
    rest += utf8.decode(chunk, { stream: true });
    const messages = rest.split('\n\n');
    rest = messages.pop() ?? '';
    if (rest.length > MESSAGE_CHARS_MAX) {
      fail('stream_malformed', 'The stream sends a message without end: check --url.');
    }
    for (const message of messages) {
      const data = dataOf(message);
      if (data !== undefined) yield data;
    }
  }
}

function dataOf(message: string): string | undefined {
  const lines = message.split('\n').filter((line) => line.startsWith('data:'));
  return lines.length === 0 ? undefined : lines.map((line) => line.slice(5).trimStart()).join('\n');
}
