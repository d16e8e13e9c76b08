// @ts-check
/**
 * The HTTP API as docs/viewer-protocol.md describes it. Knows URLs and error documents; keeps no state.
 *
 * @typedef {object} Scene
 * @property {string} id
 * @property {string} name
 * @property {number} bytes
 * @property {string | null} uploaded_at  RFC 3339; null for a scene that the operator put there
 * @property {boolean} owned  whether the caller may delete it
 * @property {string[]} imports
 * @property {string | null} entry_point
 * @property {string[]} warnings  what its author may want to know, although it can be run
 * @property {string | null} thumbnail  where its picture is; null when there is none (yet)
 * @property {string} view
 *
 * @typedef {{ code: string, message: string }} EndReason
 * @typedef {{ width: number, height: number }} Size  pixels
 *
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
 *
 * @typedef {'viewer' | 'controller' | 'author' | 'admin'} Role  each may do what those before it may
 * @typedef {{ authentication: 'open' | 'token', role: Role, name: string }} Identity
 * @typedef {{ id: string, role: Role, expires_at: string, grant: string, view: string }} Grant
 * @typedef {{ at_ms: number, source: string, line: string }} LogLine
 * @typedef {{ lines: LogLine[], dropped: number }} Log
 */
import { authorization } from './credentials.js';

/** @type {readonly Role[]} */
const ROLES = ['viewer', 'controller', 'author', 'admin'];

/**
 * Whether `role` may do what `needed` may.
 *
 * @param {Role} role
 * @param {Role} needed
 */
export function isAtLeast(role, needed) {
    return ROLES.indexOf(role) >= ROLES.indexOf(needed);
}

/** A request that failed: the server's problem document (RFC 9457), or `unreachable` when there was no answer at all. */
export class Problem extends Error {
    /**
     * @param {number} status  the HTTP status; 0 when there was no answer
     * @param {string} code  stable, for programs
     * @param {string} message  for people
     * @param {number | null} [retryAfterMs]  when the server says that trying again may help
     */
    constructor(status, code, message, retryAfterMs = null) {
        super(message);
        this.name = 'Problem';
        this.status = status;
        this.code = code;
        this.retryAfterMs = retryAfterMs;
    }

    /** Whether the same request may succeed a little later. */
    get isTemporary() {
        return this.status === 0 || this.status === 429 || this.status >= 500;
    }
}

/** @returns {Promise<Scene[]>} by name */
export async function listScenes() {
    return (await request('/api/scenes')).json();
}

/**
 * @param {string} id
 * @returns {Promise<Scene>}
 */
export async function getScene(id) {
    return (await request(scenePath(id))).json();
}

/** @param {string} id */
export async function deleteScene(id) {
    await request(scenePath(id), { method: 'DELETE' });
}

/**
 * A picture as data: an `<img>` could not say who asks.
 *
 * @param {string} url
 */
export async function getPicture(url) {
    return (await request(url)).blob();
}

/** @returns {Promise<Identity>} who the server takes this page for */
export async function whoAmI() {
    return (await request('/api/whoami')).json();
}

/**
 * @param {string} scene
 * @param {Size} size  device pixels of the picture's place; the server snaps and limits it
 * @returns {Promise<SessionInfo>}
 */
export async function createSession(scene, size) {
    return (await postJson('/api/sessions', { scene, width: size.width, height: size.height })).json();
}

/** @returns {Promise<SessionInfo[]>} */
export async function listSessions() {
    return (await request('/api/sessions')).json();
}

/**
 * @param {string} id
 * @returns {Promise<SessionInfo>}
 */
export async function getSession(id) {
    return (await request(sessionPath(id))).json();
}

/**
 * What the session's scene has printed.
 *
 * @param {string} id
 * @returns {Promise<Log>}
 */
export async function getLog(id) {
    return (await request(`${sessionPath(id)}/log`)).json();
}

/**
 * A right to one session, for somebody without a token.
 *
 * @param {string} id
 * @param {Role} role
 * @returns {Promise<Grant>}
 */
export async function createGrant(id, role) {
    return (await postJson(`${sessionPath(id)}/grants`, { role })).json();
}

/**
 * Who came with the grant is told and disconnected.
 *
 * @param {string} id  of the session
 * @param {string} grant  its id
 */
export async function deleteGrant(id, grant) {
    await request(`${sessionPath(id)}/grants/${encodeURIComponent(grant)}`, { method: 'DELETE' });
}

/** @param {string} id */
function scenePath(id) {
    return `/api/scenes/${encodeURIComponent(id)}`;
}

/** @param {string} id */
function sessionPath(id) {
    return `/api/sessions/${encodeURIComponent(id)}`;
}

/**
 * @param {string} url
 * @param {object} body
 */
function postJson(url, body) {
    return request(url, { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(body) });
}

/**
 * `fetch` in this page's name, with every failure as a [`Problem`].
 *
 * @param {string | URL} url
 * @param {Omit<RequestInit, 'headers'> & { headers?: Record<string, string> }} [init]
 */
export async function request(url, init = {}) {
    let response;
    try {
        response = await fetch(url, { ...init, headers: { ...authorization(), ...init.headers } });
    } catch (error) {
        if (error instanceof DOMException && error.name === 'AbortError') throw error;
        throw unreachable();
    }
    if (response.ok) return response;
    throw problemOf(response.status, await response.text().catch(() => ''), response.headers.get('Retry-After'));
}

/** No answer came. */
export function unreachable() {
    return new Problem(0, 'unreachable', 'The server does not answer.');
}

/**
 * @param {number} status
 * @param {string} body
 * @param {string | null} retryAfter  the header
 */
export function problemOf(status, body, retryAfter) {
    const document = parsed(body);
    const text = (/** @type {unknown} */ value) => (typeof value === 'string' && value !== '' ? value : null);
    const message = text(document?.detail) ?? text(document?.title) ?? `The server answered with status ${status}.`;
    const seconds = /^\d{1,5}$/.test(retryAfter ?? '') ? Number(retryAfter) : null;
    return new Problem(status, text(document?.code) ?? `http_${status}`, message, seconds === null ? null : seconds * 1_000);
}

/** A proxy in between answers with a page of its own: then the status is all there is. @param {string} body */
function parsed(body) {
    try {
        return JSON.parse(body);
    } catch {
        return null;
    }
}
