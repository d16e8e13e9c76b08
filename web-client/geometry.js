// @ts-check
/**
 * Where the picture is on the page, and what size to ask for. Pure: CSS pixels in, fractions or device pixels out.
 *
 * @typedef {import('./api.js').Size} Size
 * @typedef {{ left: number, top: number, width: number, height: number }} Rect  CSS pixels, relative to the window
 */

/** No screen is larger; the server's own limit is far below. */
const MAX_SIDE_PX = 16_384;

/**
 * The rectangle that a picture takes within `box` when it is shown whole and in proportion (`object-fit: contain`).
 *
 * @param {Rect} box
 * @param {Size} picture  its own pixels; without any it fills the box
 * @returns {Rect}
 */
export function pictureRect(box, picture) {
    if (picture.width <= 0 || picture.height <= 0) return box;
    const scale = Math.min(box.width / picture.width, box.height / picture.height);
    const width = picture.width * scale;
    const height = picture.height * scale;
    return { left: box.left + (box.width - width) / 2, top: box.top + (box.height - height) / 2, width, height };
}

/**
 * A position as fractions of the picture.
 *
 * @param {Rect} rect  where the picture is
 * @param {number} clientX
 * @param {number} clientY
 * @returns {{ x: number, y: number, isInside: boolean }} `x` and `y` from 0 to 1, clamped
 */
export function toPicture(rect, clientX, clientY) {
    const x = fraction(clientX - rect.left, rect.width);
    const y = fraction(clientY - rect.top, rect.height);
    const isInside = x >= 0 && x <= 1 && y >= 0 && y <= 1;
    return { x: clamp(x), y: clamp(y), isInside };
}

/**
 * The size to ask the server for.
 *
 * @param {number} width  CSS pixels
 * @param {number} height  CSS pixels
 * @param {number} pixelRatio  device pixels to a CSS pixel
 * @returns {Size} whole device pixels, at least 1 × 1
 */
export function deviceSize(width, height, pixelRatio) {
    const ratio = pixelRatio > 0 && Number.isFinite(pixelRatio) ? pixelRatio : 1;
    const side = (/** @type {number} */ length) => Math.min(MAX_SIDE_PX, Math.max(1, Math.round(length * ratio) || 1));
    return { width: side(width), height: side(height) };
}

/**
 * @param {number} part
 * @param {number} whole
 */
function fraction(part, whole) {
    return whole > 0 ? part / whole : 0;
}

/** @param {number} value */
function clamp(value) {
    return Math.min(1, Math.max(0, value));
}
