/**
 * The form: what a person types, how far the check is, and what came of it.
 *
 * Every word stands in the page's templates. What comes from outside, a manifest's titles included, becomes text content
 * and nothing else. What was typed stays in its field until the result no longer needs it, and never outlives the page.
 * @module
 */

import { InputError, canonical, check, fetchWorker } from './check.js';
import { unanswered } from './verdict.js';

/** @typedef {import('./verdict.js').Answer} Answer */
/** @typedef {import('./verdict.js').Verdict} Verdict */
/** @typedef {import('./manifest.js').Dataset} Dataset */

const MAX_TITLE = 120; // characters; whatever is longer was not meant to be read
const MAX_NOTE = 600;
// Controls, and what turns the direction of a text or hides in it.
const UNPRINTABLE =
  /[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]+/g;
const DIGITS = /[0-9\u0660-\u0669\u06f0-\u06f9\uff10-\uff19]/g;
/** Where each stage begins on the way, in hundredths. */
const STAGES = Object.freeze({ manifest: 0, slow_hash: 10, evaluation: 80, bucket: 90 });

// --- The page --------------------------------------------------------------------------------------------------------

/**
 * Return the one element that the page has for a selector.
 * @template {Element} T
 * @param {ParentNode} root
 * @param {string} selector
 * @param {new () => T} type
 * @returns {T}
 */
function one(root, selector, type) {
  const found = root.querySelector(selector);
  if (!(found instanceof type)) throw new Error(`the page lacks ${selector}`);
  return found;
}

/** @param {string} id */
const section = (id) => one(document, `#${id}`, HTMLElement);

/**
 * Return a copy of a template's content.
 * @param {string} id
 */
const copyOf = (id) => document.importNode(one(document, `#${id}`, HTMLTemplateElement).content, true);

/**
 * @param {ParentNode} root
 * @param {string} name
 */
const slot = (root, name) => one(root, `[data-slot="${name}"]`, HTMLElement);

/** @type {ReadonlyMap<string, ReadonlyMap<string, HTMLElement>>} */
const words = new Map(
  Array.from(copyOf('words').querySelectorAll('ul'), (list) => [
    list.dataset['words'] ?? '',
    new Map(Array.from(list.querySelectorAll('li'), (item) => [item.dataset['word'] ?? '', item])),
  ]),
);

/**
 * Return what the page says for a word of the protocol; nothing if it does not know the word.
 * @param {string} group
 * @param {string} name
 */
const say = (group, name) => words.get(group)?.get(name)?.textContent ?? '';

const form = one(document, '#form', HTMLFormElement);
const settings = /** @type {Readonly<Record<string, string>>} */ (form.dataset);
/** Where the browser does not know the language, French as it is written here; always our calendar and digits. */
const locales = [settings['locale'] ?? '', 'fr-MA'];
const style = /** @type {const} */ ({ calendar: 'gregory', numberingSystem: 'latn', timeZone: 'UTC' });
const working = section('working');
const status = section('status');
const bar = one(document, '#progress', HTMLProgressElement);
const result = section('result');
const said = section('said');

/** Ends the check that is under way. */
let stop = new AbortController();

/** @type {NodeListOf<HTMLElement>} */
const languages = document.querySelectorAll('.languages [lang]');
/** Of what the manifest says in a language of the page's. */
const directions = new Map(Array.from(languages, ({ lang, dir }) => [lang, dir]));

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
  result.append(...drawn(answer));
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

// --- The result ------------------------------------------------------------------------------------------------------

/**
 * @param {Answer} answer
 * @returns {Node[]}
 */
function rendered({ verdict, datasets }) {
  const known = new Map(datasets.map((dataset) => [dataset.name, dataset]));
  switch (verdict.type) {
    case 'exposed':
      return [exposed(verdict, known), actions(['share', 'print', 'new'])];
    case 'not_found':
      return [notFound(verdict, known), actions(['correct', 'new'])];
    default:
      return [undetermined(verdict), actions(['again', 'correct', 'new'])];
  }
}

/**
 * @param {Extract<Verdict, {type: 'exposed'}>} verdict
 * @param {ReadonlyMap<string, Dataset>} known
 */
function exposed({ exposures, unchecked, coverage }, known) {
  const page = copyOf('exposed');
  const others = coverage.filter(({ dataset }) => !exposures.some((exposure) => exposure.dataset === dataset));
  if (others.length > 0) {
    const part = copyOf('searched');
    one(part, 'ul', HTMLElement).append(...others.map((file) => searched(file, known)));
    slot(page, 'searched').append(part);
  }
  const fields = new Set(exposures.flatMap((exposure) => exposure.fields));
  slot(page, 'datasets').append(...exposures.map((exposure) => card(exposure, known.get(exposure.dataset))));
  const all = Array.from(copyOf('advice').children, (part) => /** @type {HTMLElement} */ (part));
  slot(page, 'advice').append(...all.filter((part) => fields.has(part.dataset['field'] ?? '')));
  putUnchecked(page, unchecked, known);
  return page;
}

/**
 * @param {import('./verdict.js').Exposure} exposure
 * @param {Dataset | undefined} dataset
 */
function card({ dataset: name, fields, employer, shared }, dataset) {
  const page = copyOf('exposure');
  put(slot(page, 'title'), dataset?.title, MAX_TITLE, name);
  if (dataset?.date) putDate(slot(page, 'date'), dataset.date);
  else slot(page, 'dated').remove();
  if (!employer) slot(page, 'employer').remove();
  if (!shared) slot(page, 'shared').remove();
  slot(page, 'fields').append(
    ...fields.map((field) => {
      const item = document.createElement('li');
      const isolated = document.createElement('bdi');
      isolated.textContent = say('fields', field) || shortened(field, MAX_TITLE);
      item.append(isolated);
      return item;
    }),
  );
  const note = slot(page, 'note');
  put(note, dataset?.authenticity_note, MAX_NOTE, '');
  if (note.textContent === '') note.remove();
  return page;
}

/**
 * @param {Extract<Verdict, {type: 'not_found'}>} verdict
 * @param {ReadonlyMap<string, Dataset>} known
 */
function notFound({ coverage, unchecked }, known) {
  const page = copyOf('not-found');
  slot(page, 'checked').append(...coverage.map((file) => searched(file, known)));
  putUnchecked(page, unchecked, known);
  return page;
}

/**
 * Return a line about a file that was searched, and how much of it could not be read.
 * @param {import('./verdict.js').Coverage} coverage
 * @param {ReadonlyMap<string, Dataset>} known
 */
function searched({ dataset: name, rows_read, rows_accepted, identifiers_rejected }, known) {
  const item = copyOf('searched-file');
  const dataset = known.get(name);
  put(slot(item, 'title'), dataset?.title, MAX_TITLE, name);
  if (dataset?.date) putDate(slot(item, 'date'), dataset.date);
  else slot(item, 'dated').remove();
  for (const [place, count] of /** @type {const} */ ([
    ['unread', rows_read - rows_accepted],
    ['cells', identifiers_rejected],
  ])) {
    if (count > 0) slot(slot(item, place), 'count').textContent = count.toLocaleString(locales, style);
    else slot(item, place).remove();
  }
  return item;
}

/**
 * @param {ParentNode} page
 * @param {readonly import('./verdict.js').Unchecked[]} unchecked
 * @param {ReadonlyMap<string, Dataset>} known
 */
function putUnchecked(page, unchecked, known) {
  if (unchecked.length === 0) return;
  const part = copyOf('unchecked');
  one(part, 'ul', HTMLElement).append(
    ...unchecked.map(({ dataset: name, kinds }) => {
      const item = copyOf('unchecked-file');
      put(slot(item, 'title'), known.get(name)?.title, MAX_TITLE, name);
      slot(item, 'kinds').textContent = kinds.map((kind) => say('kinds', kind) || kind).join(' · ');
      if (kinds.length === 0) slot(item, 'by').remove();
      return item;
    }),
  );
  slot(page, 'unchecked').append(part);
}

/** @param {Extract<Verdict, {type: 'undetermined'}>} verdict */
function undetermined({ reason, retry_after, until }) {
  const page = copyOf('undetermined');
  const cause = words.get('reasons')?.get(reason) ?? words.get('reasons')?.get('not_checked');
  slot(page, 'reason').textContent = cause?.textContent ?? '';
  slot(page, 'remedy').textContent = say('remedies', cause?.dataset['remedy'] ?? 'again');
  slot(page, 'word').textContent = reason;
  if (until === null) slot(page, 'ends').remove();
  else putMoment(slot(page, 'until'), until);
  if (!retry_after || until !== null) slot(page, 'wait').remove();
  else slot(page, 'time').textContent = duration(retry_after);
  return page;
}

/**
 * Return text without what a person should not meet in it, and no longer than `most`.
 * @param {string} text
 * @param {number} most
 */
function shortened(text, most) {
  const clean = Array.from(text.replace(UNPRINTABLE, ' ').trim());
  return clean.length <= most ? clean.join('') : `${clean.slice(0, most - 1).join('')}…`;
}

/**
 * Put a text of the manifest, in the language that the reader most likely knows.
 * @param {HTMLElement} place
 * @param {Readonly<Record<string, string>> | undefined} texts
 * @param {number} most characters
 * @param {string} otherwise
 */
function put(place, texts = {}, most, otherwise) {
  for (const tag of [...(settings['tags'] ?? '').split(' '), ...Object.keys(texts).sort()]) {
    const text = shortened(texts[tag] ?? '', most);
    if (text !== '') {
      place.textContent = text;
      place.lang = tag;
      place.dir = directions.get(tag) ?? 'auto';
      return;
    }
  }
  place.textContent = otherwise;
}

/**
 * Put a date of the manifest: a year, a month or a day.
 * @param {HTMLElement} place
 * @param {string} date
 */
function putDate(place, date) {
  const [year = 1970, month, day] = date.split('-').map(Number);
  const at = new Date(Date.UTC(year, (month ?? 1) - 1, day ?? 1));
  const exists = at.getUTCMonth() === (month ?? 1) - 1 && at.getUTCDate() === (day ?? 1);
  /** @type {Intl.DateTimeFormatOptions} */
  const parts = { year: 'numeric', ...(month && { month: 'long' }), ...(day && { day: 'numeric' }) };
  place.textContent = exists ? at.toLocaleDateString(locales, { ...style, ...parts }) : date;
  if (exists) place.setAttribute('datetime', date);
}

/**
 * Put a moment as this device's own clock will show it, whatever zones its browser knows.
 * @param {HTMLElement} place
 * @param {string} time of the protocol
 */
function putMoment(place, time) {
  const style = /** @type {const} */ ({ dateStyle: 'full', timeStyle: 'short' });
  place.textContent = new Date(time).toLocaleString(locales, style);
  place.setAttribute('datetime', time);
}

/**
 * Return a time to wait in words, rounded up.
 * @param {number} seconds
 */
function duration(seconds) {
  const units = /** @type {const} */ ([
    ['second', 1, 90],
    ['minute', 60, 90],
    ['hour', 3600, 36],
    ['day', 86400, Infinity],
  ]);
  const [unit, size] = units.find(([, length, most]) => seconds <= length * most) ?? units[3];
  return Math.ceil(seconds / size).toLocaleString(locales, { ...style, style: 'unit', unit, unitDisplay: 'long' });
}

// --- What can be done with it ----------------------------------------------------------------------------------------

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
