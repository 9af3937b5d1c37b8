/**
 * What came of a check, in the page's words.
 *
 * What comes from outside, a manifest's titles included, becomes text content and nothing else.
 * @module
 */

import { copyOf, one, say, settings, slot, words } from './document.js';

/** @typedef {import('./verdict.js').Answer} Answer */
/** @typedef {import('./verdict.js').Verdict} Verdict */
/** @typedef {import('./manifest.js').Dataset} Dataset */

const MAX_TITLE = 120; // characters; whatever is longer was not meant to be read
const MAX_NOTE = 600;
// Controls, and what turns the direction of a text or hides in it.
const UNPRINTABLE =
  /[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]+/g;
/** Where the browser does not know the language, French as it is written here; always our calendar and digits. */
const locales = [settings['locale'] ?? '', 'fr-MA'];
const style = /** @type {const} */ ({ calendar: 'gregory', numberingSystem: 'latn', timeZone: 'UTC' });
/** @type {NodeListOf<HTMLElement>} */
const languages = document.querySelectorAll('.languages [lang]');
/** Of what the manifest says in a language of the page's. */
const directions = new Map(Array.from(languages, ({ lang, dir }) => [lang, dir]));

/**
 * Return what a result shows, and the names of what can be done with it.
 * @param {Answer} answer
 */
export function rendered({ verdict, datasets }) {
  const known = new Map(datasets.map((dataset) => [dataset.name, dataset]));
  switch (verdict.type) {
    case 'exposed':
      return { shown: exposed(verdict, known), offered: ['share', 'print', 'new'] };
    case 'not_found':
      return { shown: notFound(verdict, known), offered: ['correct', 'new'] };
    default:
      return { shown: undetermined(verdict), offered: ['again', 'correct', 'new'] };
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
