// @ts-check
/**
 * The picture's place on the page: listens to the viewer's hands there, tells its size, and says when the page is no longer the one
 * that is looked at. Knows elements and events; what they mean to a scene is input.js's matter.
 *
 * @typedef {import('./api.js').Size} Size
 * @typedef {import('./input.js').InputState} InputState
 */
import { deviceSize, pictureRect } from './geometry.js';
import { isForBrowser } from './keyboard.js';

/** While a window's edge is dragged, its size changes with every picture; the stream shall follow when it rests. */
const RESIZE_REST_MS = 150;

export class Stage {
    /** @type {HTMLElement} */
    #element;
    /** @type {HTMLVideoElement} */
    #video;
    /** @type {InputState} */
    #input;
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    #resizeTimer;

    /** Called when the place has had a new size for a moment. @type {((size: Size) => void) | null} */
    onResize = null;

    /**
     * @param {HTMLElement} element  can have the focus
     * @param {HTMLVideoElement} video  fills it, `object-fit: contain`
     * @param {InputState} input
     */
    constructor(element, video, input) {
        this.#element = element;
        this.#video = video;
        this.#input = input;
        this.#listenToPointers();
        this.#listenToKeys();
        this.#listenToFocus();
        let known = this.size;
        const report = () => {
            const size = this.size;
            // The observer also reports the size that it finds at first.
            if (size.width === known.width && size.height === known.height) return;
            known = size;
            this.onResize?.(size);
        };
        new ResizeObserver(() => {
            clearTimeout(this.#resizeTimer);
            this.#resizeTimer = setTimeout(report, RESIZE_REST_MS);
        }).observe(element);
    }

    /** Device pixels of the place. */
    get size() {
        return deviceSize(this.#element.clientWidth, this.#element.clientHeight, devicePixelRatio);
    }

    /** Whether keys go to the scene. */
    get isFocused() {
        return document.activeElement === this.#element && document.hasFocus();
    }

    focus() {
        this.#element.focus({ preventScroll: true });
    }

    #rect() {
        const { left, top, width, height } = this.#element.getBoundingClientRect();
        return pictureRect({ left, top, width, height }, { width: this.#video.videoWidth, height: this.#video.videoHeight });
    }

    #listenToPointers() {
        const element = this.#element;
        element.addEventListener('pointerdown', (event) => {
            this.focus();
            if (this.#input.pointerDown(event, this.#rect())) element.setPointerCapture(event.pointerId);
            // No text selection, no emulated mouse events, no middle-button scrolling.
            event.preventDefault();
        });
        // Raw updates come when the hand moves, ordinary moves wait for the next picture of the page: up to 16 ms for nothing, as what
        // is drawn here does not depend on them. Not every browser has them.
        const move = 'onpointerrawupdate' in window ? 'pointerrawupdate' : 'pointermove';
        element.addEventListener(move, (event) => {
            if (event instanceof PointerEvent) this.#input.pointerMove(event, this.#rect());
        });
        element.addEventListener('pointerup', (event) => this.#input.pointerUp(event, this.#rect()));
        element.addEventListener('pointercancel', (event) => this.#input.pointerCancel(event));
        // After an up or a cancel nothing is pressed any more, and this one is without effect.
        element.addEventListener('lostpointercapture', (event) => this.#input.pointerCancel(event));
        element.addEventListener('contextmenu', (event) => event.preventDefault());
        element.addEventListener(
            'wheel',
            (event) => {
                event.preventDefault();
                this.#input.wheel(event, this.#rect());
            },
            { passive: false },
        );
    }

    #listenToKeys() {
        this.#element.addEventListener('keydown', (event) => {
            if (!isForBrowser(event)) event.preventDefault();
            this.#input.keyDown(event);
        });
        this.#element.addEventListener('keyup', (event) => {
            if (!isForBrowser(event)) event.preventDefault();
            this.#input.keyUp(event);
        });
    }

    #listenToFocus() {
        this.#element.addEventListener('focus', (event) => this.#input.focus(true, event.timeStamp));
        this.#element.addEventListener('blur', (event) => this.#input.focus(false, event.timeStamp));
        // A finger or a pen may hold something while the keyboard's focus is elsewhere on the page.
        const leave = (/** @type {Event} */ event) => {
            this.#input.release(event.timeStamp);
            this.#input.focus(false, event.timeStamp);
        };
        addEventListener('blur', leave);
        addEventListener('pagehide', leave);
        document.addEventListener('visibilitychange', (event) => {
            if (document.visibilityState === 'hidden') leave(event);
        });
        addEventListener('focus', (event) => {
            if (this.isFocused) this.#input.focus(true, event.timeStamp);
        });
    }
}
