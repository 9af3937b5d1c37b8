/**
 * What the page imports: checks one identifier in a worker, and always ends.
 * @module
 */

import { canonical } from './identifier.js';
import { readRelease, writeRelease } from './memory.js';
import { deepFreeze, unanswered } from './verdict.js';

/** @typedef {import('./verdict.js').Reason} Reason */

export { InputError } from './errors.js';
export { canonical };

/** @typedef {import('./verdict.js').Answer} Answer */

/**
 * @typedef {object} Options
 * @property {string} worker URL of the worker's script, as `fetchWorker` gives it
 * @property {string} publisherKey pinned: 64 hexadecimal digits
 * @property {string} base URL of the service, without a slash at its end
 * @property {AbortSignal} [signal] ends the check, which then was not made
 * @property {number} [timeLimit] for the whole check, in milliseconds
 * @property {number} [answerTimeLimit] for one answer of the service, in milliseconds
 * @property {(stage: import('./driver.js').Stage, done: number) => void} [progress] gets the part of the stage that is
 *   done, 0 to 1
 */

/**
 * Check one identifier. The answer's verdict is undetermined whenever something went wrong; the promise is rejected
 * for a text alone that is no identifier.
 * @param {string} kind
 * @param {string} text
 * @param {Options} options
 * @returns {Promise<Answer>}
 * @throws {import('./errors.js').InputError} before anything is sent
 */
export async function check(kind, text, { worker: url, publisherKey, base, signal, ...options }) {
  const { timeLimit = 60_000, answerTimeLimit = 30_000, progress = () => {} } = options;
  canonical(kind, text);
  /** @type {Worker | undefined} */
  let worker;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;
  let answer = unanswered('not_checked');
  try {
    answer = await new Promise((resolve, reject) => {
      timer = setTimeout(() => resolve(unanswered('timeout')), timeLimit);
      signal?.addEventListener('abort', () => resolve(answer));
      worker = new Worker(/** @type {string} */ (trusted(url)));
      worker.onerror = reject;
      worker.onmessageerror = reject;
      worker.onmessage = ({ data }) => {
        /** @type {import('./worker.js').Report} */
        const report = data;
        if ('answer' in report) resolve(report.answer);
        else if ('stage' in report) progress(report.stage, report.done);
        else if (!writeRelease(publisherKey, report.release)) resolve(unanswered('release_memory'));
      };
      worker.postMessage({ kind, text, base, publisherKey, highest: readRelease(publisherKey), answerTimeLimit });
    });
  } catch {
    // No worker, a script that does not load or run, a message that cannot be read.
    answer = unanswered('client_fault');
  } finally {
    clearTimeout(timer);
    worker?.terminate();
  }
  return deepFreeze(answer);
}

/**
 * Fetch the worker's script, once, and make what came and was verified a script to start: browsers compare no digest
 * of a worker, and a second download may bring another file than the first.
 * @param {string} url
 * @param {string} integrity
 * @param {number} [timeLimit] milliseconds
 * @returns {Promise<{worker: string} | {reason: Reason}>} a `blob:` URL, or why there is none
 */
export async function fetchWorker(url, integrity, timeLimit = 30_000) {
  const controller = new AbortController();
  const timer = setTimeout(() => controller.abort(), timeLimit);
  const { signal } = controller;
  try {
    const script = await (await fetch(url, { integrity, signal })).arrayBuffer();
    return { worker: URL.createObjectURL(new Blob([script], { type: 'text/javascript' })) };
  } catch {
    // Browsers do not tell a digest that differs from a network that fails. Whoever answers at all is reached.
    const reached = await fetch(url, { method: 'HEAD', cache: 'no-store', signal }).then(() => true, () => false);
    if (signal.aborted) return { reason: 'timeout' };
    return { reason: reached ? 'client_altered' : 'unreachable' };
  } finally {
    clearTimeout(timer);
  }
}

/**
 * The part of the browser's Trusted Types that is used here.
 * @typedef {{createPolicy(name: string, rules: {createScriptURL(url: string): string}):
 *   {createScriptURL(url: string): unknown}}} TrustedTypes
 */

/** @type {ReturnType<TrustedTypes['createPolicy']> | undefined} */
let policy;

/**
 * Return a script's URL as the browser's Trusted Types want it: octets that this page holds, or an error.
 * @param {string} url
 * @returns {unknown}
 */
function trusted(url) {
  const { trustedTypes } = /** @type {{trustedTypes?: TrustedTypes}} */ (/** @type {unknown} */ (globalThis));
  if (trustedTypes === undefined) return url;
  policy ??= trustedTypes.createPolicy('breachcheck', {
    createScriptURL: (script) => {
      if (!script.startsWith(`blob:${location.origin}/`)) throw new TypeError('not a script of this page');
      return script;
    },
  });
  return policy.createScriptURL(url);
}
