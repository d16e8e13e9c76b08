// @ts-check
/** The viewer's few buttons: they get out of the way when nobody uses them. Knows nothing of sessions. */

/** Long enough to read the labels, short enough not to be in the picture. */
const IDLE_MS = 2_500;

/**
 * Marks `page` with the class `idle` while no pointer moves and no button has the keyboard's focus.
 *
 * @param {HTMLElement} page
 * @param {HTMLElement} toolbar
 */
export function hideWhenIdle(page, toolbar) {
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    let timer;
    const wake = () => {
        page.classList.remove('idle');
        clearTimeout(timer);
        timer = setTimeout(() => {
            if (toolbar.querySelector(':focus-visible, :hover') === null) page.classList.add('idle');
        }, IDLE_MS);
    };
    for (const type of ['pointermove', 'pointerdown', 'keydown', 'focusin']) page.addEventListener(type, wake, { capture: true });
    wake();
}

/**
 * Makes `button` put `page` into full screen and back. Hides it where the browser has none (phones of one maker).
 *
 * @param {HTMLElement} page
 * @param {HTMLElement} button
 */
export function offerFullscreen(page, button) {
    button.hidden = !document.fullscreenEnabled;
    button.addEventListener('click', () => {
        const change = document.fullscreenElement === null ? page.requestFullscreen() : document.exitFullscreen();
        // Refused, for example by a policy of the page around this one: then everything stays as it is.
        change.catch(() => {});
    });
    document.addEventListener('fullscreenchange', () => {
        const isFull = document.fullscreenElement !== null;
        button.setAttribute('aria-pressed', String(isFull));
        button.title = isFull ? 'Leave full screen' : 'Full screen';
    });
}
