// @ts-check
/** A scene's picture on a card: the drawing first, the thumbnail when the card comes into view. Knows how to fetch one, and nothing of lists. */
import { getPicture } from './api.js';
import { emblem } from './emblem.js';
import { make } from './page.js';

/** Fetched a little before it is seen. */
const MARGIN = '200px';

/** What is fetched when its place comes into view. @type {WeakMap<Element, () => void>} */
const waiting = new WeakMap();
const observer = 'IntersectionObserver' in globalThis
    ? new IntersectionObserver(
        (entries) => {
            for (const { target, isIntersecting } of entries) {
                if (!isIntersecting) continue;
                observer?.unobserve(target);
                waiting.get(target)?.();
            }
        },
        { rootMargin: MARGIN },
    )
    : null;

/**
 * @param {string} name  of the scene, for the drawing
 * @param {string | null} thumbnail  where its picture is
 * @returns {HTMLElement}
 */
export function picture(name, thumbnail) {
    const place = make('div', { className: 'picture' }, emblem(name));
    if (thumbnail === null) return place;
    waiting.set(place, () => void load(place, thumbnail));
    if (observer === null) waiting.get(place)?.();
    else observer.observe(place);
    return place;
}

/**
 * @param {HTMLElement} place
 * @param {string} thumbnail
 */
async function load(place, thumbnail) {
    let address = '';
    try {
        address = URL.createObjectURL(await getPicture(thumbnail));
        // The scene's name stands beside it; the picture says nothing more to who cannot see it.
        const image = make('img', { src: address, alt: '', decoding: 'async' });
        await image.decode();
        place.replaceChildren(image);
    } catch {
        // The drawing stays.
    } finally {
        // What is decoded needs its source no more.
        if (address !== '') URL.revokeObjectURL(address);
    }
}
