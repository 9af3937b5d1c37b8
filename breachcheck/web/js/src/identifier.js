/**
 * One ASCII text for all spellings of one identifier, or a refusal. PROTOCOL §3; the rules are the package's own files.
 * @module
 */

import { sha256 } from '@noble/hashes/sha2.js';
import { bytesToHex } from '@noble/hashes/utils.js';
import au from '../../../protocol/rules/au.json' with { type: 'json' };
import fr from '../../../protocol/rules/fr.json' with { type: 'json' };
import ma from '../../../protocol/rules/ma.json' with { type: 'json' };
import rules from '../../../protocol/rules/tables.json' with { type: 'json' };
import world from '../../../protocol/rules/world.json' with { type: 'json' };
import { utf8 } from './encoding.js';
import { InputError } from './errors.js';

/**
 * @typedef {object} Form
 * @property {string} letters
 * @property {string[]} drop
 * @property {boolean} numeric
 * @property {string} alphabet
 * @property {number} max_length
 * @property {string} pattern
 * @property {number} zero_fill
 * @property {string | null} check
 */

/**
 * Return an expression that has to match the whole text. PROTOCOL §3.3.
 * @param {string} expression
 */
const whole = (expression) => new RegExp(`^(?:${expression})$`, 'u');

/** @param {string} name `U+0660` and so on */
const pointOf = (name) => parseInt(name.slice(2), 16);

/**
 * Return the code points of some ranges, each with its target: itself if the ranges have none.
 * @param {string[][]} ranges
 * @returns {Map<number, number>}
 */
function pointsOf(ranges) {
  const points = new Map();
  for (const [first = 0, last = 0, target = first] of ranges.map((range) => range.map(pointOf))) {
    for (let point = first; point <= last; point++) points.set(point, target + point - first);
  }
  return points;
}

/** @type {Readonly<Record<string, string[][]>>} */
const GROUPS = rules.groups;

/** @param {string[]} names */
const pointsIn = (names) => pointsOf(names.flatMap((name) => GROUPS[name] ?? []));

/**
 * Return the remainder of a decimal number divided by 97; 24 digits exceed 2^53.
 * @param {string} digits
 */
function mod97(digits) {
  let remainder = 0;
  for (const digit of digits) remainder = (remainder * 10 + Number(digit)) % 97;
  return remainder;
}

/**
 * Check digits: each returns the canonical form of what passes, or nothing. PROTOCOL §3.2, step 11.
 * @type {Map<string, (form: string) => string | undefined>}
 */
const CHECKS = new Map([
  ['mod97', (form) => (mod97(form) === 0 ? form : undefined)],
  [
    'nir97',
    (form) => {
      const [number, key] = [form.slice(0, 13), form.slice(13)];
      const value = number.replace('2A', '19').replace('2B', '18'); // a letter stands in the department alone
      return key === '' || Number(key) === 97 - mod97(value) ? number : undefined;
    },
  ],
  [
    'rib97',
    (form) => {
      const account = form.slice(-23);
      const iban = (account + form.slice(0, -23)).replace(/[A-Z]/g, (letter) => String(parseInt(letter, 36)));
      if (form.length > account.length && mod97(iban) !== 1) return undefined;
      const digits = account.replace(/[A-Z]/g, (letter) => RIB_DIGITS.charAt(letter.charCodeAt(0) - 0x41));
      return mod97(digits) === 0 ? account : undefined;
    },
  ],
]);

/** What a letter of a French account number counts, A to Z. */
const RIB_DIGITS = '12345678912345678923456789';

const MAP = pointsOf(rules.map);
const MARKS = pointsOf(rules.marks);
const SPACES = pointsIn(['spaces']);
const UNQUOTED = pointsIn(['spaces', 'quotes']);
const SPREADSHEET_NUMBER = whole(rules.spreadsheet_number);
const KINDS = new Map(
  Object.entries({ ...ma, ...world, ...fr, ...au }).map(([kind, /** @type {{form: Form}} */ { form }]) => [
    kind,
    {
      form,
      dropped: pointsIn(form.drop),
      alphabet: whole(form.alphabet),
      pattern: whole(form.pattern),
      check: CHECKS.get(form.check ?? ''),
    },
  ]),
);

/**
 * Return the canonical form of an identifier. PROTOCOL §3.2.
 * @param {string} kind
 * @param {string} text
 * @returns {string}
 * @throws {InputError}
 */
export function canonical(kind, text) {
  const known = KINDS.get(kind);
  if (known === undefined) throw new InputError('unknown_kind'); // 1
  const { form, dropped, alphabet, pattern, check } = known;
  const points = Array.from(text, pointAt);
  if (points.length > rules.max_text) throw new InputError('too_long'); // 2

  let kept = [];
  for (const point of points) {
    if (MARKS.has(point)) continue;
    const mapped = MAP.get(point) ?? point;
    if (form.letters === 'upper' && mapped >= 0x61 && mapped <= 0x7a) kept.push(mapped - 0x20);
    else if (form.letters === 'lower' && mapped >= 0x41 && mapped <= 0x5a) kept.push(mapped + 0x20);
    else kept.push(mapped);
  } // 3

  let [start, end] = [0, kept.length];
  while (start < end && SPACES.has(kept[start] ?? 0)) start++;
  while (start < end && SPACES.has(kept[end - 1] ?? 0)) end--;
  kept = kept.slice(start, end); // 4

  if (form.numeric && SPREADSHEET_NUMBER.test(textOf(kept.filter((point) => !UNQUOTED.has(point))))) {
    throw new InputError('spreadsheet_number'); // 5
  }
  const left = textOf(kept.filter((point) => !dropped.has(point))); // 6
  if (left === '') throw new InputError('empty'); // 7
  if (!alphabet.test(left)) throw new InputError('unexpected_character'); // 8
  const match = left.length <= form.max_length && pattern.exec(left); // ASCII, since the alphabets are
  if (!match) throw new InputError('format'); // 9
  const filled = match.slice(1).join('').padStart(form.zero_fill, '0'); // 10
  if (check === undefined) return filled;
  const canonicalForm = check(filled); // 11
  if (canonicalForm === undefined) throw new InputError('check_digits');
  return canonicalForm;
}

/** @param {string} character */
const pointAt = (character) => Number(character.codePointAt(0));

/**
 * Return code points as a text.
 * @param {number[]} points
 */
const textOf = (points) => String.fromCodePoint(...points);

/**
 * Return the digest of the rules of a kind, 64 hexadecimal digits. PROTOCOL §3.4.
 * @param {string} kind
 * @returns {string | undefined} nothing for an unknown kind
 */
export function rulesDigest(kind) {
  const known = KINDS.get(kind);
  if (known === undefined) return undefined;
  const { version, max_text, map, marks, groups, spreadsheet_number } = rules;
  const shared = [version, max_text, map, marks, groups, spreadsheet_number];
  return bytesToHex(sha256(utf8(JSON.stringify([shared, known.form]))));
}
