/** Every code point there is, at the front, in the middle and at the end of an identifier of each kind. */

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import { InputError, canonical } from '../src/check.js';
import { vectors } from './vectors.js';

Error.stackTraceLimit = 0; // six million refusals

function outcome(kind, text) {
  try {
    return `=${canonical(kind, text)}\n`;
  } catch (error) {
    if (error instanceof InputError) return `!${error.reason}\n`;
    throw error;
  }
}

for (const { kind, number, basic, supplementary } of vectors('identifiers').code_points.kinds) {
  test(`code points: ${kind}`, () => {
    const [front, back] = [number.slice(0, number.length / 2), number.slice(number.length / 2)];
    const digest = (first, last, texts) => {
      const hash = createHash('sha256');
      for (let point = first; point <= last; point++) {
        hash.update(texts(String.fromCodePoint(point)).map((text) => outcome(kind, text)).join(''));
      }
      return hash.digest('hex');
    };
    assert.equal(digest(0, 0xffff, (c) => [c + number, front + c + back, number + c]), basic);
    assert.equal(digest(0x10000, 0x10ffff, (c) => [c + front + c + back + c]), supplementary);
  });
}
