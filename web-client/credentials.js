// @ts-check
/**
 * Who this page says it is: a token that somebody typed in, or a grant that came with a link. Both live as long as the tab and are
 * sent as a bearer, never as a cookie and never in an address. Knows neither the page nor what they allow.
 */

const TOKEN_KEY = 'scenecast.token';
/** A grant is for one session. */
const GRANT_KEY = 'scenecast.grant.';
/** Far above what the server makes, far below what a header may have. */
const MAX_BEARER_CHARACTERS = 4_096;
/** RFC 6750, section 2.1. */
const BEARER = /^[A-Za-z0-9._~+/-]+=*$/;

/** What a browser that keeps nothing for this page loses with the page. @type {Map<string, string>} */
const memory = new Map();
/** @type {string | null} */
let grant = null;

/** The header of every request; none when nobody has signed in. @returns {Record<string, string>} */
export function authorization() {
    const bearer = grant ?? read(TOKEN_KEY);
    return bearer === null ? {} : { Authorization: `Bearer ${bearer}` };
}

/** Whether this page came by a link that carries its own right. */
export function hasGrant() {
    return grant !== null;
}

export function hasToken() {
    return read(TOKEN_KEY) !== null;
}

/**
 * @param {string} text  as typed
 * @returns {boolean} whether it can be a token at all
 */
export function setToken(text) {
    const token = text.trim();
    if (!isBearer(token)) return false;
    write(TOKEN_KEY, token);
    return true;
}

export function forgetToken() {
    write(TOKEN_KEY, null);
}

/**
 * Takes the grant of `#grant=…` and keeps it for this tab, or finds the one that was kept before a reload.
 *
 * @param {string} hash  of the address
 * @param {string | null} session
 * @returns {boolean} whether the address has one, which then should not stay in it
 */
export function takeGrant(hash, session) {
    if (session === null) return false;
    const given = new URLSearchParams(hash.replace(/^#/, '')).get('grant');
    if (given !== null && isBearer(given)) write(GRANT_KEY + session, given);
    grant = read(GRANT_KEY + session);
    return given !== null;
}

/** From now on it is the token that counts. */
export function dropGrant() {
    grant = null;
}

/** @param {string} text */
function isBearer(text) {
    return text.length <= MAX_BEARER_CHARACTERS && BEARER.test(text);
}

/** @param {string} key */
function read(key) {
    try {
        return sessionStorage.getItem(key);
    } catch {
        return memory.get(key) ?? null;
    }
}

/**
 * @param {string} key
 * @param {string | null} value
 */
function write(key, value) {
    try {
        if (value === null) sessionStorage.removeItem(key);
        else sessionStorage.setItem(key, value);
    } catch {
        if (value === null) memory.delete(key);
        else memory.set(key, value);
    }
}
