/**
 * `node deploy/health.js [URL]`: ends with 0 when a node's `/readyz` (or the URL) answers 200, else
 * with 1 and the answer. The image's health check: an image needs no curl for it.
 */
import { get } from 'node:http';

const TIMEOUT_MS = 8000;
const ANSWER_BYTES_MAX = 4096;
const url = process.argv[2] ?? 'http://127.0.0.1:8420/readyz';

const request = get(url, { timeout: TIMEOUT_MS, agent: false }, (answer) => {
  let text = '';
  answer.setEncoding('utf8');
  answer.on('data', (part) => {
    if (text.length < ANSWER_BYTES_MAX) text += part;
  });
  answer.on('end', () => {
    console.log(text.trim());
    process.exitCode = answer.statusCode === 200 ? 0 : 1;
  });
});
request.on('timeout', () => request.destroy(new Error(`no answer in ${TIMEOUT_MS} ms`)));
request.on('error', (error) => {
  console.log(`${url}: ${error.message}`);
  process.exitCode = 1;
});
