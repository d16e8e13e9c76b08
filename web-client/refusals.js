// @ts-check
/**
 * Why a scene was not taken, in words that help its author. The codes are those of docs/viewer-protocol.md and those that this page
 * has of its own; one that is not known here keeps the server's own sentence.
 *
 * @typedef {import('./api.js').Problem} Problem
 * @typedef {object} Refusal
 * @property {string} title  one line
 * @property {string} text  what it means and what to do
 * @property {string | null} command  what to type, if that is what to do
 * @property {string} detail  the server's sentence; empty when the server said nothing
 * @property {boolean} isRetryable  whether the same file may be taken later
 */
import { sizeText, waitText } from './formats.js';

/** @typedef {{ title: string, text: string, command?: string }} Words */

const NOT_UNDERSTOOD = {
    title: 'The server does not understand this page',
    text: 'The file did not arrive as it was sent, or the page is older than the server. Load the page anew, then add the file once more.',
};
const NOT_OURS = {
    title: 'The answer is not Scenecast’s',
    text: 'Something between this page and the server, such as a proxy, has answered in its place.',
};
/** A status without a code: no Scenecast answers so. */
const BARE_STATUS = /^http_\d+$/;

/** @type {Readonly<Record<string, Words>>} */
const KNOWN = {
    scene_not_wasm: {
        title: 'This is not WebAssembly',
        text: 'The file does not begin like a component. The one to add is what the build writes last, and it ends in .wasm.',
    },
    scene_core_module: {
        title: 'This is a core module, and a scene is a component',
        text: 'Wrap it into a component, or build for a target that makes components, such as wasm32-wasip2 in Rust.',
        command: 'wasm-tools component new module.wasm -o scene.wasm',
    },
    scene_no_entry_point: {
        title: 'It has no beginning',
        text: 'A scene exports the function start, or wasi:cli/run as a program does. Check which world it is built for.',
        command: 'scenecast check scene.wasm',
    },
    scene_uncompilable: {
        title: 'It does not compile here',
        text: 'It is damaged, uses a part of WebAssembly that scenes do not have, or is more than the compiler may spend on one scene.',
        command: 'wasm-tools validate scene.wasm',
    },
    library_full: {
        title: 'There is no room for it',
        text: 'Delete scenes that nobody needs any more, or ask the operator for more room.',
    },
    disk_full: { title: 'The server’s disk is full', text: 'Nothing was kept. Only its operator can change that.' },
    foreign_origin: {
        title: 'The server does not take this page for its own',
        text: 'It knows itself by another address, as behind a proxy that changes the host name. Its operator can allow this one.',
    },
    foreign_host: { title: 'The server does not answer to this name', text: 'It may be there under another. Its operator can allow this one.' },
    bad_request: NOT_UNDERSTOOD,
    unsupported_media_type: NOT_UNDERSTOOD,
    forbidden: { title: 'You may not add scenes here', text: 'Ask the operator for a token of an author.' },
    unauthorized: { title: 'The server does not know you', text: 'Sign in again, then add the file once more.' },
    request_timeout: { title: 'It took too long', text: 'The file travelled so slowly that the server gave up. A better network may help.' },
    store_unavailable: {
        title: 'The server cannot reach its scenes',
        text: 'Where it keeps uploaded scenes does not answer, and nothing was kept. Try again in a moment.',
    },
    draining: { title: 'The server is shutting down', text: 'It takes nothing new. Try again when it is back.' },
    unreachable: {
        title: 'The connection was lost',
        text: 'The file did not arrive as a whole, and nothing was kept. The network may be gone, or the server refused the file on its way, ' +
            'as it does with very large ones.',
    },
    file_unreadable: { title: 'The file cannot be read', text: 'It may be a folder, or it was moved or changed since it was chosen.' },
    too_many_files: { title: 'Too many files at once', text: 'Add it again when the others are done.' },
    page_failed: { title: 'This page has failed', text: 'The browser says why. Load the page anew, then add the file once more.' },
    bad_answer: NOT_OURS,
    internal: { title: 'The server failed', text: 'This is not the scene’s fault. The server’s log says why.' },
};

/** These are about the page's own side, or may pass. */
const RETRYABLE = new Set([
    'file_unreadable', 'library_full', 'disk_full', 'request_timeout', 'too_many_files', 'unauthorized', 'bad_answer',
]);

/**
 * @param {Problem} problem
 * @param {number} bytes  the file's size
 * @returns {Refusal}
 */
export function explainRefusal(problem, bytes) {
    const { code, message } = problem;
    const words = wordsOf(problem, bytes);
    return {
        title: words.title,
        text: words.text,
        command: words.command ?? null,
        detail: code === 'unreachable' || code === 'too_many_files' ? '' : message,
        isRetryable: problem.isTemporary || RETRYABLE.has(code),
    };
}

/**
 * @param {Problem} problem
 * @param {number} bytes
 * @returns {Words}
 */
function wordsOf({ code, message, retryAfterMs }, bytes) {
    switch (code) {
        case 'scene_import_not_offered':
            return {
                title: importOf(message) === null ? 'It needs something that scenes do not have' : `It needs ${importOf(message)}`,
                text: 'That is not offered here, or not in this version. Leave out the library that needs it, or build for the versions ' +
                    'named below. This lists everything that a scene imports:',
                command: 'scenecast check scene.wasm',
            };
        case 'scene_too_large':
        case 'body_too_large':
        // Proxies have a limit of their own, and often a low one.
        case 'http_413':
            return {
                title: 'It is too large',
                text: `The file has ${sizeText(bytes)}. A release build without debug information is often a tenth of that; this takes it out:`,
                command: 'wasm-tools strip --all scene.wasm -o smaller.wasm',
            };
        case 'too_many_requests':
            return {
                title: 'That was too much at once',
                text: retryAfterMs === null
                    ? 'The server takes so many scenes a minute, and so many at a time. Try again in a while.'
                    : `The server takes so many scenes a minute, and so many at a time. Try again in ${waitText(retryAfterMs)}.`,
            };
        default:
            return KNOWN[code] ?? (BARE_STATUS.test(code) ? NOT_OURS : null) ?? { title: 'The scene was not taken', text: 'The server says why:' };
    }
}

/**
 * The import that a refusal is about.
 *
 * @param {string} message  the server's sentence
 */
export function importOf(message) {
    return message.match(/imports? `([^`]{1,200})`/)?.[1] ?? null;
}
