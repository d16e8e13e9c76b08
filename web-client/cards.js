// @ts-check
/**
 * The scenes as cards. Knows what a card shows; what a click leads to is told from outside.
 *
 * @typedef {import('./api.js').Scene} Scene
 *
 * @typedef {object} CardLinks
 * @property {(scene: Scene) => string | null} watch  the address to open; null when this caller cannot open it now
 * @property {(scene: Scene) => void} remove
 */
import { agoText, sizeText } from './formats.js';
import { make } from './page.js';
import { picture } from './picture.js';

const SVG = 'http://www.w3.org/2000/svg';
const BIN = 'M5 7h14M10 7V5h4v2M7 7l1 12h8l1-12M10.5 10.5v5M13.5 10.5v5';

/**
 * @param {Scene} scene
 * @param {CardLinks} links
 * @param {number} nowMs
 */
export function card(scene, links, nowMs) {
    const facts = make('p', {}, sizeText(scene.bytes), ...uploaded(scene, nowMs));
    const text = make('div', {}, make('h2', { textContent: scene.name, title: scene.name }), facts);
    const address = links.watch(scene);
    const face = address === null
        ? make('div', { className: 'card' }, picture(scene.name, scene.thumbnail), text)
        : make('a', { className: 'card', href: address }, picture(scene.name, scene.thumbnail), text);
    const item = make('li', {}, face);
    item.dataset.scene = scene.id;
    if (scene.owned) item.append(removeButton(scene, links));
    return item;
}

/**
 * @param {Scene} scene
 * @param {number} nowMs
 * @returns {(Node | string)[]}
 */
function uploaded({ uploaded_at: at }, nowMs) {
    const atMs = Date.parse(at ?? '');
    if (Number.isNaN(atMs)) return [];
    const title = new Date(atMs).toLocaleString();
    return [' · ', make('time', { dateTime: new Date(atMs).toISOString(), title, textContent: agoText(atMs, nowMs) })];
}

/**
 * @param {Scene} scene
 * @param {CardLinks} links
 */
function removeButton(scene, links) {
    const icon = document.createElementNS(SVG, 'svg');
    icon.setAttribute('viewBox', '0 0 24 24');
    icon.setAttribute('aria-hidden', 'true');
    const path = document.createElementNS(SVG, 'path');
    path.setAttribute('d', BIN);
    icon.append(path);
    const button = make('button', { type: 'button', className: 'remove', title: 'Delete', ariaLabel: `Delete ${scene.name}` }, icon);
    button.addEventListener('click', () => links.remove(scene));
    return button;
}
