// @ts-check
/**
 * Measures a running stream: asks the server for its clock and for its account of each picture, watches the video element and the
 * browser's statistics, and keeps the figures. Runs only while somebody looks at them. The arithmetic is in measure.js.
 *
 * @typedef {import('./measure.js').MeasuredFrame} MeasuredFrame
 * @typedef {import('./measure.js').Answer} Answer
 * @typedef {import('./measure.js').Distribution} Distribution
 * @typedef {import('./session.js').Link} Link
 *
 * @typedef {object} Figures  null for what is not known (yet)
 * @property {number | null} framesPerSecond  decoded
 * @property {number} width  of the picture in pixels
 * @property {number} height
 * @property {number | null} bitrateBps  received
 * @property {number | null} roundTripMs
 * @property {number | null} decodeMs  the mean of one picture
 * @property {number | null} framesDropped  by browser and server since the connection began
 * @property {Distribution | null} sendToPresentationMs
 * @property {Distribution | null} clickToPixelMs
 * @property {{ sceneUs: Distribution | null, readbackUs: Distribution | null, convertUs: Distribution | null,
 *     encodeUs: Distribution | null }} server
 */
import { FrameJournal, Recent, ResponseTimes, ServerClock, isNew, ratesBetween, snapshotOf } from './measure.js';

/** How often the figures are renewed. */
export const PERIOD_MS = 500;
/** The clock is needed at once: the first pings come faster. */
const FIRST_PINGS = 8;
const FIRST_PING_PERIOD_MS = 50;
const PING_PERIOD_MS = 1_000;
/** Four seconds of pictures at 30 a second. */
const RECENT_FRAMES = 120;
/** As many answers as show a median that does not jump. */
const RECENT_ANSWERS = 60;

export class Meter {
    /** @type {HTMLVideoElement} */
    #video;
    /** @type {Link | null} */
    #link = null;
    #isOn = false;
    /** What this measurement has gathered; a new connection begins anew. */
    #account = new Account();
    #pings = 0;
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    #pingTimer;
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    #periodTimer;
    #frameCallback = 0;

    /** Called with every picture whose two accounts were joined. @type {((frame: MeasuredFrame) => void) | null} */
    onFrame = null;
    /** Called with every input that a picture has answered. @type {((answer: Answer, frame: MeasuredFrame) => void) | null} */
    onAnswer = null;
    /** Called when the figures are new. @type {((figures: Figures) => void) | null} */
    onFigures = null;

    /** @param {HTMLVideoElement} video */
    constructor(video) {
        this.#video = video;
    }

    get isOn() {
        return this.#isOn;
    }

    /** @param {boolean} on */
    turn(on) {
        if (on === this.#isOn) return;
        this.#isOn = on;
        if (on) this.#begin();
        else this.#stop();
    }

    /** @param {Link | null} link  the connection to measure from now on */
    attach(link) {
        if (this.#isOn) this.#stop();
        this.#link = link;
        if (this.#isOn) this.#begin();
    }

    /**
     * The viewer did something.
     *
     * @param {number} seq
     * @param {number} atMs
     */
    acted(seq, atMs) {
        if (this.#isOn) this.#account.responses.acted(seq, atMs);
    }

    /**
     * Takes what concerns it from the server's messages.
     *
     * @param {{ type: string, [member: string]: any }} message
     */
    receive(message) {
        if (!this.#isOn) return;
        const account = this.#account;
        if (message.type === 'pong' && typeof message.t === 'number') {
            account.clock.pong(message.t, message.server_us, performance.now());
        } else if (message.type === 'frame' && typeof message.rtp === 'number') {
            const frame = /** @type {import('./measure.js').SentFrame} */ (/** @type {unknown} */ (message));
            account.serverTimes(frame);
            this.#measured(account.journal.sent(frame));
        } else if (message.type === 'stats' && typeof message.dropped === 'number') {
            account.droppedByServer = message.dropped;
        }
    }

    /** @returns {Figures} */
    get figures() {
        const { rates, snapshot, clock, droppedByServer, sendToPresentation, clickToPixel, server } = this.#account;
        return {
            framesPerSecond: rates?.framesPerSecond ?? null,
            width: this.#video.videoWidth,
            height: this.#video.videoHeight,
            bitrateBps: rates?.bitrateBps ?? null,
            // The browser rounds its own figure to a millisecond, which on a near network is nothing.
            roundTripMs: clock.roundTripMs ?? snapshot?.roundTripMs ?? null,
            decodeMs: this.#account.decodeMs,
            framesDropped: snapshot === null ? null : snapshot.framesDropped + droppedByServer,
            sendToPresentationMs: sendToPresentation.distribution,
            clickToPixelMs: clickToPixel.distribution,
            server: {
                sceneUs: server.scene.distribution,
                readbackUs: server.readback.distribution,
                convertUs: server.convert.distribution,
                encodeUs: server.encode.distribution,
            },
        };
    }

    #begin() {
        this.#account = new Account();
        this.#pings = 0;
        if (this.#link === null) return;
        this.#link.send('events', { type: 'measure', on: true });
        this.#ping();
        this.#awaitFrame();
        this.#periodTimer = setInterval(() => void this.#sample(), PERIOD_MS);
        void this.#sample();
    }

    #stop() {
        this.#link?.send('events', { type: 'measure', on: false });
        clearTimeout(this.#pingTimer);
        clearInterval(this.#periodTimer);
        // Browsers without frame callbacks still show every other figure.
        this.#video.cancelVideoFrameCallback?.(this.#frameCallback);
    }

    #ping() {
        this.#link?.send('events', { type: 'ping', t: performance.now() });
        this.#pings += 1;
        this.#pingTimer = setTimeout(() => this.#ping(), this.#pings < FIRST_PINGS ? FIRST_PING_PERIOD_MS : PING_PERIOD_MS);
    }

    #awaitFrame() {
        this.#frameCallback =
            this.#video.requestVideoFrameCallback?.((_now, metadata) => {
                this.#awaitFrame();
                this.#measured(this.#account.journal.presented(metadata));
            }) ?? 0;
    }

    /** @param {MeasuredFrame | null} frame */
    #measured(frame) {
        if (frame === null) return;
        if (frame.sentMs !== null) this.#account.sendToPresentation.add(frame.presentedMs - frame.sentMs);
        for (const answer of this.#account.responses.shown(frame)) {
            this.#account.clickToPixel.add(answer.ms);
            this.onAnswer?.(answer, frame);
        }
        this.onFrame?.(frame);
    }

    async #sample() {
        const account = this.#account;
        const report = await this.#link?.stats();
        if (account !== this.#account || !this.#isOn) return;
        if (report !== undefined) account.sample(snapshotOf([...report.values()]));
        this.onFigures?.(this.figures);
    }
}

/** All that is gathered about one connection. */
class Account {
    clock = new ServerClock();
    journal = new FrameJournal(this.clock);
    responses = new ResponseTimes();
    sendToPresentation = new Recent(RECENT_FRAMES);
    clickToPixel = new Recent(RECENT_ANSWERS);
    server = {
        scene: new Recent(RECENT_FRAMES),
        readback: new Recent(RECENT_FRAMES),
        convert: new Recent(RECENT_FRAMES),
        encode: new Recent(RECENT_FRAMES),
    };
    droppedByServer = 0;
    /** The last one that is known: in a period without a picture none was decoded. @type {number | null} */
    decodeMs = null;
    /** @type {import('./measure.js').Snapshot | null} */
    snapshot = null;
    /** @type {ReturnType<typeof ratesBetween>} */
    rates = null;
    /** Snapshots of the last second and a half, so that the rates do not jump. @type {import('./measure.js').Snapshot[]} */
    #snapshots = [];

    /** @param {import('./measure.js').SentFrame} frame */
    serverTimes(frame) {
        if (!isNew(frame)) return;
        this.server.scene.add(frame.scene_us);
        this.server.readback.add(frame.readback_us);
        this.server.convert.add(frame.convert_us);
        this.server.encode.add(frame.encode_us);
    }

    /** @param {import('./measure.js').Snapshot | null} snapshot */
    sample(snapshot) {
        if (snapshot === null) return;
        this.snapshot = snapshot;
        this.#snapshots.push(snapshot);
        if (this.#snapshots.length > 4) this.#snapshots.shift();
        const oldest = this.#snapshots[0];
        const rates = oldest === undefined ? null : ratesBetween(oldest, snapshot);
        if (rates === null) return;
        this.rates = rates;
        this.decodeMs = rates.decodeMs ?? this.decodeMs;
    }
}
