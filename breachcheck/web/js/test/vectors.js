/** Shared vector files, which every client replays. */

import { hexToBytes } from '@noble/hashes/utils.js';
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';

export const vectors = (name) =>
  JSON.parse(readFileSync(new URL(`../../../../tests/vectors/${name}.json`, import.meta.url), 'utf8'));

export const hex = hexToBytes;

/** Unix time of a text, in seconds. */
export const time = (text) => Date.parse(text) / 1000;

/** Return the reason for which a step throws; the step must throw an error with one. */
export function reasonOf(step) {
  try {
    step();
  } catch (error) {
    assert.ok('reason' in error, error.stack);
    return error.reason;
  }
  return assert.fail('nothing was refused');
}

/** A source of "random" octets that makes `oprf.blind` draw this blind. */
export const drawing = (blind) => () => {
  const octets = new Uint8Array(64);
  octets.set(blind);
  return octets;
};
