// @ts-check
/**
 * One file on its way to the library. By XMLHttpRequest, because `fetch` does not say how much of a body is sent, and a body that is
 * a stream needs HTTP/2.
 *
 * @typedef {import('./api.js').Scene} Scene
 * @typedef {{ scene: Scene, isNew: boolean }} Uploaded  `isNew`: the library did not have these bytes
 */
import { Problem, problemOf, unreachable } from './api.js';
import { authorization } from './credentials.js';

/** Not a byte went on for this long: the network is gone, though the browser has not noticed. */
const STALLED_MS = 60_000;
/** The server compiles what it is given, within limits of its own that are shorter, but others may be before us. */
const CHECKING_MS = 180_000;

/**
 * @param {File} file
 * @param {string} name  what the scene is called
 * @param {object} on
 * @param {(sentFraction: number) => void} on.progress
 * @param {() => void} on.sent  all of it is there; now the server looks at it
 * @param {AbortSignal} signal
 * @returns {Promise<Uploaded>}
 * @throws {Problem}
 * @throws {DOMException} `AbortError`
 */
export async function sendScene(file, name, on, signal) {
    await assertReadable(file);
    signal.throwIfAborted();
    return new Promise((resolve, reject) => {
        const transfer = new XMLHttpRequest();
        /** @type {ReturnType<typeof setTimeout> | undefined} */
        let timer;
        const expectWithin = (/** @type {number} */ ms) => {
            clearTimeout(timer);
            timer = setTimeout(() => transfer.abort(), ms);
        };
        const aborted = () => transfer.abort();
        transfer.upload.onprogress = (event) => {
            expectWithin(STALLED_MS);
            if (event.lengthComputable && event.total > 0) on.progress(event.loaded / event.total);
        };
        transfer.upload.onload = () => {
            expectWithin(CHECKING_MS);
            on.sent();
        };
        transfer.onabort = () => reject(signal.aborted ? signal.reason : unreachable());
        transfer.onerror = () => reject(unreachable());
        transfer.onload = () => {
            try {
                resolve(readAnswer(transfer));
            } catch (error) {
                reject(error);
            }
        };
        transfer.onloadend = () => {
            clearTimeout(timer);
            signal.removeEventListener('abort', aborted);
        };
        signal.addEventListener('abort', aborted);
        transfer.open('POST', `/api/scenes?name=${encodeURIComponent(name)}`);
        transfer.setRequestHeader('Content-Type', 'application/wasm');
        for (const [header, value] of Object.entries(authorization())) transfer.setRequestHeader(header, value);
        expectWithin(STALLED_MS);
        transfer.send(file);
    });
}

/** A folder that was dropped looks like a file, and so does one that was deleted meanwhile. @param {File} file */
async function assertReadable(file) {
    try {
        await file.slice(0, 1).arrayBuffer();
    } catch {
        throw new Problem(0, 'file_unreadable', `The browser cannot read ${file.name}.`);
    }
}

/**
 * @param {XMLHttpRequest} transfer
 * @returns {Uploaded}
 */
function readAnswer(transfer) {
    const { status, responseText } = transfer;
    if (status < 200 || status > 299) throw problemOf(status, responseText, transfer.getResponseHeader('Retry-After'));
    try {
        return { scene: JSON.parse(responseText), isNew: status === 201 };
    } catch {
        throw new Problem(status, 'bad_answer', 'The server’s answer is not one of this program.');
    }
}
