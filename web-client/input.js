// @ts-check
/**
 * What the viewer does, as messages of the protocol; and what is pressed, so that it can be released. Pure: takes events as plain
 * objects, gives messages to a function. Knows no element and no connection.
 *
 * @typedef {import('./geometry.js').Rect} Rect
 * @typedef {import('./keyboard.js').KeyLike} KeyLike
 * @typedef {import('./whep.js').Lane} Lane
 *
 * @typedef {object} PointerLike  the members of a `PointerEvent` that count here
 * @property {number} pointerId
 * @property {string} pointerType
 * @property {number} clientX
 * @property {number} clientY
 * @property {number} buttons
 * @property {number} pressure
 * @property {number} timeStamp
 *
 * @typedef {object} WheelLike
 * @property {number} clientX
 * @property {number} clientY
 * @property {number} deltaX
 * @property {number} deltaY
 * @property {number} deltaMode
 * @property {number} timeStamp
 *
 * @typedef {{ id: number, kind: 'mouse' | 'touch' | 'pen', x: number, y: number, buttons: number, pressure: number }} PointerState
 *
 * @callback Send
 * @param {Lane} lane
 * @param {{ type: string, seq: number, [member: string]: unknown }} message
 * @param {number} atMs  when the viewer did it, on the clock of `performance.now()`
 * @returns {void}
 */
import { toPicture } from './geometry.js';
import { isForScene, textOf } from './keyboard.js';

/** At most 125 moves a second and pointer: mice report up to 8,000, and no scene draws more often. */
export const MOVE_INTERVAL_MS = 8;
/** Three lines are what one notch of a wheel usually is, and 120 pixels what browsers usually make of it. */
const LINE_PX = 40;

export class InputState {
    /** @type {Send} */
    #send;
    /** @type {(run: () => void, ms: number) => unknown} */
    #later;
    #seq = 0;
    /** Pointers with a button down or a finger on the glass, with what was last said of them. @type {Map<number, PointerState>} */
    #pointers = new Map();
    /** Codes of the keys that are down. @type {Set<string>} */
    #keys = new Set();
    /** The newest move of each pointer that is not sent yet. @type {Map<number, { state: PointerState, atMs: number }>} */
    #moves = new Map();
    #movesSentMs = -Infinity;
    #isFlushPlanned = false;
    #isFocused = false;

    /**
     * @param {Send} send
     * @param {(run: () => void, ms: number) => unknown} [later]  `setTimeout`
     */
    constructor(send, later = (run, ms) => setTimeout(run, ms)) {
        this.#send = send;
        this.#later = later;
    }

    /** What is pressed at this moment. */
    get pressed() {
        return { pointers: [...this.#pointers.keys()], keys: [...this.#keys] };
    }

    /**
     * @param {PointerLike} event
     * @param {Rect} rect  where the picture is
     * @returns {boolean} whether the press is the scene's; one beside the picture is not
     */
    pointerDown(event, rect) {
        const place = toPicture(rect, event.clientX, event.clientY);
        if (!place.isInside) return false;
        const state = stateOf(event, place);
        this.#moves.delete(state.id);
        this.#pointers.set(state.id, state);
        this.#emit('events', 'pointer-down', state, event.timeStamp);
        return true;
    }

    /**
     * @param {PointerLike} event
     * @param {Rect} rect
     */
    pointerMove(event, rect) {
        const place = toPicture(rect, event.clientX, event.clientY);
        const pressed = this.#pointers.get(event.pointerId);
        const state = stateOf(event, place);
        if (pressed === undefined) {
            // What is pressed elsewhere, or was released when the page lost its focus, only hovers here; a finger cannot.
            if (!place.isInside || state.kind === 'touch') return;
            state.buttons = 0;
            state.pressure = 0;
        } else {
            this.#pointers.set(state.id, state);
            if (pressed.buttons !== state.buttons) {
                this.#moves.delete(state.id);
                this.#emit('events', 'pointer-move', state, event.timeStamp);
                return;
            }
        }
        this.#moves.set(state.id, { state, atMs: event.timeStamp });
        this.#flushMoves(event.timeStamp);
    }

    /**
     * @param {PointerLike} event
     * @param {Rect} rect
     */
    pointerUp(event, rect) {
        if (!this.#pointers.delete(event.pointerId)) return;
        this.#moves.delete(event.pointerId);
        this.#emit('events', 'pointer-up', stateOf(event, toPicture(rect, event.clientX, event.clientY)), event.timeStamp);
    }

    /** @param {{ pointerId: number, timeStamp: number }} event */
    pointerCancel(event) {
        const state = this.#pointers.get(event.pointerId);
        if (state === undefined) return;
        this.#pointers.delete(event.pointerId);
        this.#moves.delete(event.pointerId);
        // The browser gives no position with a cancel; the last known one is the best.
        this.#emit('events', 'pointer-cancel', { ...state, buttons: 0, pressure: 0 }, event.timeStamp);
    }

    /**
     * @param {WheelLike} event
     * @param {Rect} rect
     */
    wheel(event, rect) {
        const { x, y } = toPicture(rect, event.clientX, event.clientY);
        const unitPx = event.deltaMode === 1 ? LINE_PX : event.deltaMode === 2 ? rect.height : 1;
        const dx = event.deltaX * unitPx;
        const dy = event.deltaY * unitPx;
        if (dx === 0 && dy === 0) return;
        this.#emit('events', 'wheel', { x, y, dx, dy }, event.timeStamp);
    }

    /** @param {KeyLike & { timeStamp: number }} event */
    keyDown(event) {
        if (!isForScene(event)) return;
        // A repeat of a key that was released here, because the page had lost its focus, is a press again.
        const repeat = event.repeat && this.#keys.has(event.code);
        this.#keys.add(event.code);
        const text = textOf(event);
        this.#emit('events', 'key-down', { ...keyOf(event), ...(text === undefined ? {} : { text }), repeat }, event.timeStamp);
    }

    /** @param {KeyLike & { timeStamp: number }} event */
    keyUp(event) {
        if (!this.#keys.delete(event.code)) return;
        this.#emit('events', 'key-up', { ...keyOf(event), repeat: false }, event.timeStamp);
        // While Command is down, macOS reports no release of any other key.
        if (event.code === 'MetaLeft' || event.code === 'MetaRight') this.#releaseKeys(event.timeStamp);
    }

    /**
     * @param {boolean} focused
     * @param {number} atMs
     */
    focus(focused, atMs) {
        if (focused === this.#isFocused) return;
        if (!focused) this.release(atMs);
        this.#isFocused = focused;
        this.#emit('events', 'focus', { focused }, atMs);
    }

    /**
     * Lets everything go.
     *
     * @param {number} atMs
     */
    release(atMs) {
        for (const pointerId of [...this.#pointers.keys()]) this.pointerCancel({ pointerId, timeStamp: atMs });
        this.#releaseKeys(atMs);
        this.#moves.clear();
    }

    /**
     * The other side knows nothing of us: a connection is new, or gone. The server has released what the old one held.
     *
     * @param {boolean} isFocused  whether to say that we have the focus
     * @param {number} atMs
     */
    startOver(isFocused, atMs) {
        this.#pointers.clear();
        this.#keys.clear();
        this.#moves.clear();
        this.#isFocused = false;
        if (isFocused) this.focus(true, atMs);
    }

    /** @param {number} atMs */
    #releaseKeys(atMs) {
        for (const code of this.#keys) {
            this.#emit('events', 'key-up', { code, repeat: false, alt: false, ctrl: false, meta: false, shift: false }, atMs);
        }
        this.#keys.clear();
    }

    /** @param {number} nowMs */
    #flushMoves(nowMs) {
        const dueInMs = this.#movesSentMs + MOVE_INTERVAL_MS - nowMs;
        if (dueInMs <= 0) {
            this.#sendMoves(nowMs);
        } else if (!this.#isFlushPlanned) {
            this.#isFlushPlanned = true;
            this.#later(() => {
                this.#isFlushPlanned = false;
                this.#sendMoves(nowMs + dueInMs);
            }, dueInMs);
        }
    }

    /** @param {number} nowMs */
    #sendMoves(nowMs) {
        if (this.#moves.size === 0) return;
        this.#movesSentMs = nowMs;
        for (const { state, atMs } of this.#moves.values()) this.#emit('motion', 'pointer-move', state, atMs);
        this.#moves.clear();
    }

    /**
     * @param {Lane} lane
     * @param {string} type
     * @param {object} members
     * @param {number} atMs
     */
    #emit(lane, type, members, atMs) {
        this.#seq += 1;
        this.#send(lane, { type, seq: this.#seq, ...members }, atMs);
    }
}

/**
 * @param {PointerLike} event
 * @param {{ x: number, y: number }} place
 * @returns {PointerState}
 */
function stateOf(event, { x, y }) {
    const kind = event.pointerType === 'touch' || event.pointerType === 'pen' ? event.pointerType : 'mouse';
    return { id: event.pointerId, kind, x, y, buttons: event.buttons, pressure: event.pressure };
}

/** @param {KeyLike} event */
function keyOf(event) {
    return { code: event.code, alt: event.altKey, ctrl: event.ctrlKey, meta: event.metaKey, shift: event.shiftKey };
}
