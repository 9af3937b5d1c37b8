/**
 * The highest release number seen, for each publisher key: the only thing the page ever stores. PROTOCOL §9.3.
 * @module
 */

/**
 * What was seen since the page was opened: all there is where storage is blocked.
 * @type {Map<string, number>}
 */
const visit = new Map();

/**
 * Return the browser's storage; null where it is blocked.
 * @returns {Storage | null}
 */
function storage() {
  try {
    return globalThis.localStorage ?? null;
  } catch {
    return null;
  }
}

/** @param {string} publisherKey */
const nameFor = (publisherKey) => `breachcheck-release-${publisherKey}`;

/**
 * Return the highest release number seen: 0 if none, null if there is one that cannot be read.
 * @param {string} publisherKey 64 hexadecimal digits
 * @returns {number | null}
 */
export function readRelease(publisherKey) {
  let stored;
  try {
    stored = storage()?.getItem(nameFor(publisherKey)) ?? '0';
  } catch {
    return null;
  }
  const release = /^[0-9]{1,16}$/.test(stored) ? Number(stored) : NaN;
  return Number.isSafeInteger(release) ? Math.max(release, visit.get(publisherKey) ?? 0) : null;
}

/**
 * Remember a release number if it is the highest so far.
 * @param {string} publisherKey 64 hexadecimal digits
 * @param {number} release
 * @returns {boolean} false if there is a memory, and it cannot be written
 */
export function writeRelease(publisherKey, release) {
  const highest = readRelease(publisherKey);
  if (highest === null) return false;
  if (release <= highest) return true;
  visit.set(publisherKey, release);
  try {
    storage()?.setItem(nameFor(publisherKey), String(release));
  } catch {
    return false; // full, or broken: a memory that forgets in silence protects nobody
  }
  return true;
}
