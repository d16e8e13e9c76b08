// @ts-check
/**
 * Which keys the scene gets, which the browser keeps, and what text a key writes. Pure.
 *
 * @typedef {object} KeyLike  the members of a `KeyboardEvent` that count here
 * @property {string} code
 * @property {string} key
 * @property {boolean} repeat
 * @property {boolean} altKey
 * @property {boolean} ctrlKey
 * @property {boolean} metaKey
 * @property {boolean} shiftKey
 * @property {boolean} [isComposing]
 * @property {(modifier: string) => boolean} [getModifierState]
 */

/** Tab leads a keyboard user to the toolbar and out again; a scene that took it would be a trap (WCAG 2.1.2). */
const BROWSER_ONLY = new Set(['Tab']);
/** Shown to the scene, and still doing what they do in a browser: leave full screen, reload, developer tools. */
const SHARED = /^(Escape|F\d{1,2})$/;
/** `code` has at most this many characters in the protocol. */
const MAX_CODE_CHARS = 32;

/**
 * @param {KeyLike} event
 * @returns {boolean} whether the scene is told of this key
 */
export function isForScene(event) {
    return event.code !== '' && event.code.length <= MAX_CODE_CHARS && !BROWSER_ONLY.has(event.code) && event.isComposing !== true;
}

/**
 * @param {KeyLike} event
 * @returns {boolean} whether the browser shall do with it what it always does
 */
export function isForBrowser(event) {
    return !isForScene(event) || SHARED.test(event.code) || isShortcut(event);
}

/**
 * @param {KeyLike} event
 * @returns {string | undefined} the text that the key writes, if it writes any
 */
export function textOf(event) {
    // A name of a key (`Enter`, `Dead`) has several characters, a text here has one, though that may be two UTF-16 units.
    const isCharacter = [...event.key].length === 1;
    return isCharacter && !isShortcut(event) ? event.key : undefined;
}

/** @param {KeyLike} event */
function isShortcut(event) {
    // On Windows AltGr reports Control and Alt, but what it makes is text.
    const isAltGraph = event.getModifierState?.('AltGraph') === true;
    return (event.ctrlKey || event.metaKey) && !isAltGraph;
}
