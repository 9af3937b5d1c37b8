/**
 * JSON as the protocol reads it, and checks of what was read. PROTOCOL §2.1.
 * @module
 */

/** @typedef {(value: unknown) => boolean} Check */

/**
 * Read a JSON text: strict UTF-8, no byte order mark, no lone surrogate, no number but integers written as such.
 * @param {Uint8Array} octets
 * @param {boolean} [integers] false: other numbers too
 * @returns {unknown}
 * @throws {SyntaxError | TypeError}
 */
export function parseJson(octets, integers = true) {
  // ignoreBOM keeps the mark in the text, where JSON has no place for it.
  const text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(octets);
  const value = JSON.parse(text);
  // It parsed: what is no string and has a digit before one of these is such a number. JSON.parse makes 5 of 5.0.
  if (integers && /[0-9][.eE]/.test(text.replace(/"(?:[^"\\]|\\.)*"/g, '""'))) throw new SyntaxError('not an integer');
  /** @type {unknown[]} */
  const rest = [value];
  while (rest.length > 0) {
    const next = rest.pop();
    if (typeof next === 'string' && /\p{Surrogate}/u.test(next)) throw new SyntaxError('lone surrogate');
    if (typeof next === 'object' && next !== null) for (const pair of Object.entries(next)) rest.push(...pair);
  }
  return value;
}

/**
 * @param {unknown} value
 * @returns {value is Record<string, unknown>}
 */
export function isObject(value) {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** @type {Check} */
export const isText = (value) => typeof value === 'string';

/** @param {RegExp} expression @returns {Check} */
export const matches = (expression) => (value) => typeof value === 'string' && expression.test(value);

/** @param {number} octets @returns {Check} */
export const isHex = (octets) => matches(new RegExp(`^[0-9a-f]{${2 * octets}}$`));

/** @param {number} first @param {number} last @returns {Check} */
export const isInteger = (first, last) => (value) =>
  Number.isInteger(value) && first <= Number(value) && Number(value) <= last;

/** @param {unknown} expected @returns {Check} */
export const is = (expected) => (value) => value === expected;

/** @param {Check} item @param {number} [least] @param {number} [most] length @returns {Check} */
export const listOf = (item, least = 0, most = Infinity) => (value) =>
  Array.isArray(value) && value.length >= least && value.length <= most && value.every(item);

/** @param {Check} key @param {Check} item @returns {Check} */
export const mapOf = (key, item) => (value) =>
  isObject(value) && Object.entries(value).every(([name, member]) => key(name) && item(member));

/** @param {Record<string, Check>} members @returns {Check} */
export const objectOf = (members) => (value) =>
  isObject(value) &&
  Object.keys(value).length === Object.keys(members).length &&
  Object.entries(members).every(
    ([name, check]) => Object.prototype.hasOwnProperty.call(value, name) && check(value[name]),
  );
