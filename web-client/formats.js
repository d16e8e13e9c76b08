// @ts-check
/** Numbers, times and interface names as people read them. Pure. */

/** @param {number} bytes */
export function sizeText(bytes) {
    return bytes < 1e6 ? `${Math.max(1, Math.round(bytes / 1e3))} kB` : `${(bytes / 1e6).toFixed(1)} MB`;
}

/** The largest unit that is at least one. @type {readonly [Intl.RelativeTimeFormatUnit, number][]} */
const UNITS = [
    ['year', 365 * 86_400_000],
    ['month', 30 * 86_400_000],
    ['day', 86_400_000],
    ['hour', 3_600_000],
    ['minute', 60_000],
];
const RELATIVE = new Intl.RelativeTimeFormat('en', { numeric: 'auto' });

/**
 * @param {number} atMs
 * @param {number} nowMs
 */
export function agoText(atMs, nowMs) {
    const passedMs = nowMs - atMs;
    for (const [unit, ms] of UNITS) {
        if (passedMs >= ms) return RELATIVE.format(-Math.floor(passedMs / ms), unit);
    }
    // A clock that is a little ahead of ours is no reason to speak of the future.
    return 'just now';
}

/** @param {number} ms */
export function waitText(ms) {
    const seconds = Math.max(1, Math.ceil(ms / 1_000));
    if (seconds < 120) return seconds === 1 ? '1 second' : `${seconds} seconds`;
    return `${Math.ceil(seconds / 60)} minutes`;
}

/** What interfaces are about, by the beginning of their names; the first that fits counts. @type {readonly [string, string][]} */
const MEANINGS = [
    ['wasi:webgpu/', 'WebGPU'],
    ['wasi-gfx:surface/', 'a window'],
    ['wasi-gfx:frame-buffer/', 'a frame buffer'],
    ['scenecast:scene/input', 'pointer and keys'],
    ['scenecast:scene/log', 'the log'],
    ['scenecast:scene/webgpu-objects', 'WebGPU'],
    ['wasi:clocks/', 'clocks'],
    ['wasi:random/', 'random numbers'],
    ['wasi:cli/std', 'printing'],
    ['wasi:cli/terminal', 'printing'],
    ['wasi:cli/', 'program start and exit'],
    ['wasi:io/', 'streams'],
    ['wasi:filesystem/', 'files (a scene has none)'],
    ['wasi:sockets/', 'sockets (a scene has none)'],
];

/**
 * What a scene uses, from the names of its imports.
 *
 * @param {readonly string[]} imports  such as `wasi:clocks/monotonic-clock@0.2.0`
 * @returns {string[]} each once; a name that says nothing to this page stays as it is
 */
export function usesOf(imports) {
    return [...new Set(imports.map((name) => MEANINGS.find(([beginning]) => name.startsWith(beginning))?.[1] ?? name))];
}

/**
 * @param {readonly string[]} items
 * @returns {string} "a, b and c"
 */
export function listText(items) {
    if (items.length < 2) return items.join('');
    return `${items.slice(0, -1).join(', ')} and ${items.at(-1)}`;
}

/** The most that the server takes, and that a card can show. */
const MAX_NAME_CHARACTERS = 80;

/**
 * A scene's name from that of its file.
 *
 * @param {string} file
 */
export function nameOfFile(file) {
    const name = file.replace(/\.wasm$/i, '').replace(/\p{C}/gu, '').trim();
    return [...name].slice(0, MAX_NAME_CHARACTERS).join('').trim() || 'scene';
}
