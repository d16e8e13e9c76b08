// @ts-check
/** Stands in for the picture of a scene that has none (yet). Knows its name and nothing else. */

const SVG = 'http://www.w3.org/2000/svg';

/**
 * A drawing that is always the same for one name, so that a scene without a picture is found again at a glance.
 *
 * @param {string} name
 */
export function emblem(name) {
    const random = generator(name);
    const svg = document.createElementNS(SVG, 'svg');
    svg.setAttribute('viewBox', '-80 -50 160 100');
    svg.setAttribute('preserveAspectRatio', 'xMidYMid slice');
    svg.setAttribute('aria-hidden', 'true');
    svg.style.setProperty('--hue', String(Math.floor(random() * 360)));
    const tilt = random() * 50 - 25;
    const squeeze = 0.3 + random() * 0.25;
    for (let ring = 1; ring <= 5; ring += 1) {
        const radius = 7 + ring * 11;
        const orbit = shape('ellipse', { rx: radius, ry: radius * squeeze, transform: `rotate(${tilt + ring * 7})` });
        orbit.classList.add('ring');
        const angle = random() * 2 * Math.PI;
        const moon = shape('circle', {
            cx: radius * Math.cos(angle),
            cy: radius * squeeze * Math.sin(angle),
            r: 1.2 + random() * 2.6,
            transform: `rotate(${tilt + ring * 7})`,
        });
        moon.classList.add('moon');
        svg.append(orbit, moon);
    }
    const sun = shape('circle', { r: 6 + random() * 4 });
    sun.classList.add('sun');
    svg.append(sun);
    return svg;
}

/**
 * @param {string} kind
 * @param {Record<string, string | number>} attributes
 */
function shape(kind, attributes) {
    const made = document.createElementNS(SVG, kind);
    for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, String(value));
    return made;
}

/**
 * Numbers from 0 to 1 that follow from a text: FNV-1a, then xorshift.
 *
 * @param {string} seed
 */
function generator(seed) {
    let state = 0x811c9dc5;
    for (const unit of seed) state = Math.imul(state ^ (unit.codePointAt(0) ?? 0), 0x01000193);
    return () => {
        state ^= state << 13;
        state ^= state >>> 17;
        state ^= state << 5;
        return (state >>> 0) / 2 ** 32;
    };
}
