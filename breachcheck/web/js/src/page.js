/**
 * The form: what a person types, how far the check is, and what can be done with what came of it.
 *
 * What was typed stays in its field until the result no longer needs it, and never outlives the page.
 * @module
 */

import { InputError, canonical, check, fetchWorker } from './check.js';
import { copyOf, form, one, say, section, settings, slot } from './document.js';
import { rendered } from './result.js';
import { unanswered } from './verdict.js';

/** @typedef {import('./verdict.js').Answer} Answer */

const DIGITS = /[0-9\u0660-\u0669\u06f0-\u06f9\uff10-\uff19]/g;
/** Where each stage begins on the way, in hundredths. */
const STAGES = Object.freeze({ manifest: 0, slow_hash: 10, evaluation: 80, bucket: 90 });

const working = section('working');
const status = section('status');
const bar = one(document, '#progress', HTMLProgressElement);
const result = section('result');
const said = section('said');

/** Ends the check that is under way. */
let stop = new AbortController();

/** @type {NodeListOf<HTMLElement>} */
const introduction = document.querySelectorAll('[data-with="form"]');

/** @param {HTMLElement} shown */
function show(shown) {
  for (const part of [form, working, result]) part.hidden = part !== shown;
  for (const part of introduction) part.hidden = shown !== form;
}

// --- The form --------------------------------------------------------------------------------------------------------

const blocks = Array.from(form.querySelectorAll('[data-kind]'), (block) => ({
  kind: /** @type {HTMLElement} */ (block).dataset['kind'] ?? '',
  block: /** @type {HTMLElement} */ (block),
  field: one(block, 'input', HTMLInputElement),
  help: one(block, '.help', HTMLElement),
}));

function chosen() {
  const { value } = one(form, 'input:checked', HTMLInputElement);
  const block = blocks.find(({ kind }) => kind === value);
  if (block === undefined) throw new Error('the page lacks the fields of a kind');
  return block;
}

/**
 * Say something of a field, in its help line.
 * @param {ReturnType<typeof chosen>} of
 * @param {string} text
 * @param {boolean} [wrong]
 */
function explain({ field, help }, text, wrong = false) {
  help.textContent = text;
  help.classList.toggle('wrong', wrong);
  if (wrong) field.setAttribute('aria-invalid', 'true');
  else field.removeAttribute('aria-invalid');
  said.textContent = wrong ? text : '';
}

/** Show the fields of the chosen kind, and empty all others. */
function choose() {
  const current = chosen();
  for (const other of blocks) {
    other.block.hidden = other !== current;
    if (other !== current) erase(other);
  }
}

/** @param {ReturnType<typeof chosen>} block */
function erase(block) {
  block.field.value = '';
  explain(block, '');
}

/**
 * Return how many digits stand in a field, and how many there must be: 0 if that varies.
 * @param {ReturnType<typeof chosen>} block
 */
const digits = ({ field }) => ({
  typed: field.value.match(DIGITS)?.length ?? 0,
  whole: Number(field.dataset['digits']),
});

/**
 * Return why what stands in a field is no identifier; null if it is one.
 * @param {ReturnType<typeof chosen>} block
 */
function refusal(block) {
  const { typed, whole } = digits(block);
  try {
    const { length } = canonical(block.kind, block.field.value);
    // What other clients fill up with zeros may be a number that is not finished yet: it would be somebody else's.
    return whole > 0 && length > typed ? 'unfinished' : null;
  } catch (error) {
    if (error instanceof InputError) return error.reason;
    throw error;
  }
}

/** Help while somebody types, without hurry: what is not finished yet is not called wrong, and no more than whole right. */
function help() {
  const current = chosen();
  const { kind, field } = current;
  const { typed, whole } = digits(current);
  const reason = field.value === '' ? 'empty' : refusal(current);
  if (reason === 'empty') explain(current, '');
  else if (reason === null) explain(current, say('help', whole > 0 ? 'right' : 'possible'));
  else if (reason !== 'format' && reason !== 'unfinished') explain(current, say('invalid', reason));
  else if (whole > 0 && typed < whole && !/[+a-z]/i.test(field.value))
    explain(current, say('help', 'digits').replace('{typed}', String(typed)).replace('{whole}', String(whole)));
  else explain(current, say('expected', kind));
}

async function start() {
  if (!working.hidden) return; // a second tap
  const current = chosen();
  const { kind, field } = current;
  const reason = refusal(current);
  if (reason !== null) {
    const headline = say('help', kind === 'email' ? 'invalid_email' : 'invalid');
    const why = say(reason === 'unfinished' ? 'help' : 'invalid', reason);
    explain(current, [headline, why, say('expected', kind)].join(' '), true);
    field.focus();
    return;
  }
  const { signal } = (stop = new AbortController());
  result.textContent = '';
  show(working);
  bar.value = 0;
  status.textContent = say('stages', 'manifest');
  status.focus();
  const answer = await answerOf(kind, field.value, signal).catch(() => unanswered('client_fault'));
  if (signal.aborted) return; // nobody waits for it any more
  if (answer.verdict.type === 'exposed') erase(current); // the others may want to read it again
  const { shown, offered } = drawn(answer);
  result.append(shown, actions(offered));
  show(result);
  status.textContent = '';
  const headline = one(result, 'h2', HTMLElement);
  headline.focus({ preventScroll: true });
  headline.scrollIntoView();
}

/**
 * Return what a result shows. One that cannot be shown is none.
 * @param {Answer} answer
 */
function drawn(answer) {
  try {
    return rendered(answer);
  } catch {
    return rendered(unanswered('client_fault'));
  }
}

/**
 * Check, and say how far it is.
 * @param {string} kind
 * @param {string} text
 * @param {AbortSignal} signal
 * @returns {Promise<Answer>}
 */
async function answerOf(kind, text, signal) {
  const fetched = await (ready ??= prepare());
  if ('reason' in fetched) {
    ready = undefined;
    return unanswered(fetched.reason);
  }
  if (signal.aborted) return unanswered('not_checked'); // while the script was under way
  return check(kind, text, {
    worker: fetched.worker,
    publisherKey: settings['publisherKey'] ?? '',
    base: location.origin,
    signal,
    progress: (stage, done) => {
      if (signal.aborted) return;
      const text = say('stages', stage);
      if (status.textContent !== text) status.textContent = text; // said once by screen readers
      bar.value = STAGES[stage] + (stage === 'slow_hash' ? (STAGES.evaluation - STAGES.slow_hash) * done : 0);
    },
  });
}

/** @type {ReturnType<typeof fetchWorker> | undefined} */
let ready;

/** Fetch the worker's script, while somebody still reads and types. */
const prepare = () => fetchWorker(settings['worker'] ?? '', settings['integrity'] ?? '');

/** Go back to the form, as it was left. */
function back() {
  stop.abort();
  result.textContent = '';
  status.textContent = '';
  show(form);
}

/** Forget everything: nobody who takes this device next shall see it. */
function forget() {
  blocks.forEach(erase);
  back();
}

/** Forget everything, and begin again. */
function renew() {
  forget();
  one(form, 'input:checked', HTMLInputElement).focus();
}

// --- What can be done with a result ----------------------------------------------------------------------------------

const sharing = typeof navigator.share === 'function';
const copying = typeof navigator.clipboard?.writeText === 'function'; // neither is there without HTTPS

/** @type {Readonly<Record<string, () => unknown>>} */
const ACTIONS = Object.freeze({
  again: start,
  correct: () => {
    back();
    chosen().field.focus();
  },
  new: renew,
  print: () => window.print(),
  share,
});

/**
 * Return the buttons for a result.
 * @param {readonly string[]} wanted
 */
function actions(wanted) {
  const page = copyOf('actions');
  for (const button of page.querySelectorAll('button')) {
    const name = button.dataset['action'] ?? '';
    const possible = name !== 'share' || sharing || copying;
    if (wanted.includes(name) && possible) button.addEventListener('click', () => ACTIONS[name]?.());
    else button.remove();
  }
  return page;
}

/** Share the advice that stands on the page: neither what was typed nor which files it is in. */
async function share() {
  const lines = Array.from(slot(result, 'advice').querySelectorAll('h3, h4, li'), (line) =>
    line.localName === 'li' ? `• ${line.textContent?.trim()}` : `\n${line.textContent?.trim()}`,
  );
  const url = new URL(settings['home'] ?? '/', location.href).href;
  const text = lines.join('\n').trim();
  try {
    if (sharing) await navigator.share({ title: document.title, text, url });
    else await navigator.clipboard.writeText(`${text}\n\n${url}`);
  } catch {
    return; // the person changed their mind, or the browser does not allow it: nothing was shared, nothing is lost
  }
  if (!sharing) slot(result, 'said').textContent = say('help', 'copied');
}

form.addEventListener('submit', (event) => {
  event.preventDefault();
  start();
});
form.addEventListener('input', help);
form.addEventListener('change', choose);
section('stop').addEventListener('click', renew);
addEventListener('pagehide', forget);

forget();
choose();
one(document, '#fields', HTMLFieldSetElement).disabled = false;
section('late').remove();
ready = prepare();
