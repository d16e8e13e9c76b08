// @ts-check
/**
 * The figures on the page. Only writes what it is given.
 *
 * @typedef {import('./meter.js').Figures} Figures
 * @typedef {import('./measure.js').Distribution} Distribution
 */

const UNKNOWN = '–';

/** @param {Figures} figures */
export function describe(figures) {
    const { server } = figures;
    const stage = (/** @type {Distribution | null} */ us) => number(us === null ? null : us.p50 / 1000, 1);
    return {
        fps: number(figures.framesPerSecond, 0),
        resolution: figures.width > 0 ? `${figures.width} × ${figures.height}` : UNKNOWN,
        bitrate: bitrate(figures.bitrateBps),
        'round-trip': ms(figures.roundTripMs, 1),
        decode: ms(figures.decodeMs, 1),
        dropped: number(figures.framesDropped, 0),
        'send-to-presentation': spread(figures.sendToPresentationMs),
        'click-to-pixel': spread(figures.clickToPixelMs),
        server: server.sceneUs === null
            ? UNKNOWN
            : `${stage(server.sceneUs)} + ${stage(server.readbackUs)} + ${stage(server.convertUs)} + ${stage(server.encodeUs)} ms`,
    };
}

/**
 * @param {HTMLElement} panel  has an element with `data-figure` for each figure
 * @param {Figures} figures
 */
export function show(panel, figures) {
    for (const [name, text] of Object.entries(describe(figures))) {
        const element = panel.querySelector(`[data-figure="${name}"]`);
        if (element !== null && element.textContent !== text) element.textContent = text;
    }
}

/**
 * @param {number | null} value
 * @param {number} digits
 */
function number(value, digits) {
    return value === null ? UNKNOWN : value.toFixed(digits);
}

/**
 * @param {number | null} value
 * @param {number} digits
 */
function ms(value, digits) {
    return value === null ? UNKNOWN : `${value.toFixed(digits)} ms`;
}

/** @param {Distribution | null} value  median, and what 95 of 100 stay below */
function spread(value) {
    return value === null ? UNKNOWN : `${value.p50.toFixed(1)} ms (p95 ${value.p95.toFixed(1)})`;
}

/** @param {number | null} bps */
function bitrate(bps) {
    if (bps === null) return UNKNOWN;
    return bps < 1e6 ? `${(bps / 1e3).toFixed(0)} kb/s` : `${(bps / 1e6).toFixed(1)} Mb/s`;
}
