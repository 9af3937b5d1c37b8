/**
 * The worker: runs one whole check away from the page, so that the page stays alive whatever happens here. It has no
 * storage; the page gives it the remembered release number and keeps the new one.
 * @module
 */

import './old.js';
import { check } from './driver.js';
import { ProtocolError } from './errors.js';
import { selftest } from './selftest.js';
import { unanswered } from './verdict.js';

/**
 * What the page sends, once. `highest` is null if the page could not read its memory.
 * @typedef {{readonly kind: string, readonly text: string, readonly base: string, readonly publisherKey: string,
 *   readonly highest: number | null, readonly answerTimeLimit: number}} Order
 */

/**
 * What the worker sends, the answer last.
 * @typedef {{readonly stage: import('./driver.js').Stage, readonly done: number} | {readonly release: number}
 *   | {readonly answer: import('./verdict.js').Answer}} Report
 */

/** @param {Report} message */
const report = (message) => postMessage(message);

let shown = 0;

/**
 * @param {import('./driver.js').Stage} stage
 * @param {number} done
 */
function progress(stage, done) {
  const percent = Math.floor(done * 100);
  if (percent !== shown || done === 0) report({ stage, done });
  shown = percent;
}

/**
 * @param {Order} order
 * @returns {Promise<import('./verdict.js').Answer>}
 */
async function run({ kind, text, base, publisherKey, highest, answerTimeLimit }) {
  if (!selftest()) return unanswered('client_fault');
  const memory = {
    read: () => {
      if (highest === null) throw new ProtocolError('release_memory');
      return highest;
    },
    write: (/** @type {number} */ release) => report({ release }),
  };
  return check(kind, text, { base, publisherKey, memory, progress, timeLimit: answerTimeLimit });
}

addEventListener('message', ({ data }) => {
  run(data)
    .catch(() => unanswered('client_fault'))
    .then((answer) => report({ answer }));
});
