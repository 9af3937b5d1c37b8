/**
 * What the library uses and browsers of before 2021 lack. To be imported before it.
 * @module
 */

// @ts-expect-error: the library of types is as old as the browsers are
Object.hasOwn ??= (/** @type {object} */ object, /** @type {string} */ name) =>
  Object.prototype.hasOwnProperty.call(object, name);
