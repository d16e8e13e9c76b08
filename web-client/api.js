// @ts-check
/**
 * The HTTP API as docs/viewer-protocol.md describes it. Knows URLs and error documents; keeps no state.
 *
 * @typedef {{ name: string, bytes: number }} Scene
 * @typedef {{ code: string, message: string }} EndReason
 * @typedef {{ width: number, height: number }} Size  pixels
 * @typedef {object} SessionInfo
 * @property {string} id
 * @property {string} scene
 * @property {number} width  pixels of the picture
 * @property {number} height
 * @property {number} frame_rate_hz
 * @property {number} viewers
 * @property {'starting' | 'running' | 'ended'} state
 * @property {EndReason | null} ended
 * @property {string} whep  where to POST an offer
 * @property {string} view  the page that others can open
 */

/** A request that failed: the server's problem document (RFC 9457), or `unreachable` when there was no answer at all. */
export class Problem extends Error {
    /**
     * @param {number} status  the HTTP status; 0 when there was no answer
     * @param {string} code  stable, for programs
     * @param {string} message  for people
     */
    constructor(status, code, message) {
        super(message);
        this.name = 'Problem';
        this.status = status;
        this.code = code;
    }

    /** Whether the same request may succeed a little later. */
    get isTemporary() {
        return this.status === 0 || this.status >= 500;
    }
}

/** @returns {Promise<Scene[]>} by name */
export async function listScenes() {
    return (await request('/api/scenes')).json();
}

/**
 * @param {string} scene
 * @param {Size} size  device pixels of the picture's place; the server snaps and limits it
 * @returns {Promise<SessionInfo>}
 */
export async function createSession(scene, size) {
    const response = await request('/api/sessions', {
        method: 'POST',
        headers: { 'Content-Type': 'application/json' },
        body: JSON.stringify({ scene, width: size.width, height: size.height }),
    });
    return response.json();
}

/**
 * @param {string} id
 * @returns {Promise<SessionInfo>}
 */
export async function getSession(id) {
    return (await request(sessionPath(id))).json();
}

/** @param {string} id */
function sessionPath(id) {
    return `/api/sessions/${encodeURIComponent(id)}`;
}

/**
 * `fetch`, with every failure as a [`Problem`].
 *
 * @param {string | URL} url
 * @param {RequestInit} [init]
 */
export async function request(url, init) {
    let response;
    try {
        response = await fetch(url, init);
    } catch (error) {
        if (error instanceof DOMException && error.name === 'AbortError') throw error;
        throw new Problem(0, 'unreachable', 'The server does not answer.');
    }
    if (response.ok) return response;
    throw await problemOf(response);
}

/** @param {Response} response */
async function problemOf(response) {
    // A proxy in between answers with a page of its own: then the status is all there is.
    const document = await response.json().catch(() => null);
    const text = (/** @type {unknown} */ value) => (typeof value === 'string' && value !== '' ? value : null);
    const message = text(document?.detail) ?? text(document?.title) ?? `The server answered with status ${response.status}.`;
    return new Problem(response.status, text(document?.code) ?? `http_${response.status}`, message);
}
