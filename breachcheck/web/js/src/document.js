/**
 * The page that the service rendered: its elements, its templates, its words. Every word that is shown stands there.
 * @module
 */

/**
 * Return the one element that the page has for a selector.
 * @template {Element} T
 * @param {ParentNode} root
 * @param {string} selector
 * @param {new () => T} type
 * @returns {T}
 */
export function one(root, selector, type) {
  const found = root.querySelector(selector);
  if (!(found instanceof type)) throw new Error(`the page lacks ${selector}`);
  return found;
}

/** @param {string} id */
export const section = (id) => one(document, `#${id}`, HTMLElement);

/**
 * Return a copy of a template's content.
 * @param {string} id
 */
export const copyOf = (id) => document.importNode(one(document, `#${id}`, HTMLTemplateElement).content, true);

/**
 * @param {ParentNode} root
 * @param {string} name
 */
export const slot = (root, name) => one(root, `[data-slot="${name}"]`, HTMLElement);

/** @type {ReadonlyMap<string, ReadonlyMap<string, HTMLElement>>} */
export const words = new Map(
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
export const say = (group, name) => words.get(group)?.get(name)?.textContent ?? '';

export const form = one(document, '#form', HTMLFormElement);
export const settings = /** @type {Readonly<Record<string, string>>} */ (form.dataset);
