/**
 * Every error of the client, by whose fault it is. Each carries a fixed word and nothing of the identifier.
 * @module
 */

/** @typedef {import('./verdict.js').Reason} Reason */

/** The caller's fault: this is no identifier of the kind. PROTOCOL §3.2. */
export class InputError extends Error {
  /** @param {string} reason `empty`, `format`, ... */
  constructor(reason) {
    super(reason);
    this.reason = reason;
  }
}

/** The peer's fault: nothing of its answer may be believed. PROTOCOL §9.4. */
export class ProtocolError extends Error {
  /** @param {Reason} reason */
  constructor(reason) {
    super(reason);
    this.reason = reason;
  }
}

/** The network's fault, or maintenance. PROTOCOL §9.5. */
export class TransportError extends Error {
  /**
   * @param {Reason} reason
   * @param {number | null} [retry_after] seconds the service asked to wait
   * @param {string | null} [until] when its maintenance ends
   */
  constructor(reason, retry_after = null, until = null) {
    super(reason);
    this.reason = reason;
    this.retry_after = retry_after;
    this.until = until;
  }
}
