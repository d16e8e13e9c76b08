// @ts-check
/**
 * The arithmetic of measuring: the server's clock, the join of what the server says about a picture with what the browser says,
 * how long the answer to an input takes. Pure: every time is a parameter, in milliseconds of `performance.now()` unless its name
 * says otherwise. The overlay and the browser tests use the same code.
 *
 * @typedef {object} SentFrame  the server's `frame` message
 * @property {number} rtp  RTP timestamp
 * @property {number} sent_us  on the server's clock
 * @property {number} seq  the highest `seq` of ours that the scene had been given before it drew
 * @property {number} scene_us
 * @property {number} readback_us
 * @property {number} convert_us
 * @property {number} encode_us
 * @property {number} bytes
 * @property {boolean} keyframe
 *
 * @typedef {object} PresentedFrame  what `requestVideoFrameCallback` reports
 * @property {number} [rtpTimestamp]
 * @property {number} [receiveTime]  the last packet's arrival
 * @property {number} presentationTime  handed to the compositor
 * @property {number} expectedDisplayTime
 *
 * @typedef {object} MeasuredFrame  both, on one clock
 * @property {SentFrame} sent
 * @property {number | null} sentMs  null until the server's clock is known
 * @property {number} clockErrorMs  how far off `sentMs` may be
 * @property {number | null} receivedMs
 * @property {number} presentedMs
 * @property {number} expectedDisplayMs
 *
 * @typedef {{ roundTripMs: number, aheadMs: number }} Ping  that came back: how long it took, how far ahead the server's clock is
 *
 * @typedef {{ seq: number, atMs: number, ms: number }} Answer  to an input: which one, when it was made, how long it took
 *
 * @typedef {{ p50: number, p95: number, count: number }} Distribution
 */

/** The offset drifts by a few milliseconds an hour; the best of the last half minute of pings is fresh enough. */
const CLOCK_SAMPLES = 32;
/** Eight seconds at 30 pictures a second: what has found no partner by then never will. */
const FRAME_MEMORY = 256;
/** Inputs that wait for a picture: more than two seconds of moves. */
const INPUT_MEMORY = 256;

/** Finds out what the server's clock shows, from pings: the one with the shortest round trip has the smallest error. */
export class ServerClock {
    /** Newest last. @type {Ping[]} */
    #samples = [];

    /**
     * @param {number} sentMs  when the ping left
     * @param {number} serverUs  what the server's clock showed then
     * @param {number} receivedMs  when the answer came
     */
    pong(sentMs, serverUs, receivedMs) {
        const roundTripMs = receivedMs - sentMs;
        if (!Number.isFinite(serverUs) || !(roundTripMs >= 0)) return;
        // The moment of the server's reading is taken to be the middle; half the round trip bounds the error.
        this.#samples.push({ roundTripMs, aheadMs: serverUs / 1000 - (sentMs + receivedMs) / 2 });
        if (this.#samples.length > CLOCK_SAMPLES) this.#samples.shift();
    }

    /** The median round trip, which one busy moment of the page does not move; null before the first. */
    get roundTripMs() {
        return distribution(this.#samples.map(({ roundTripMs }) => roundTripMs))?.p50 ?? null;
    }

    /**
     * @param {number} serverUs  a moment on the server's clock
     * @returns {number | null} the same on ours; null before the first ping came back
     */
    toLocalMs(serverUs) {
        const best = this.#best;
        return best === undefined ? null : serverUs / 1000 - best.aheadMs;
    }

    /** How far off `toLocalMs` may be. */
    get errorMs() {
        return (this.#best?.roundTripMs ?? Infinity) / 2;
    }

    get #best() {
        return this.#samples.reduce(
            (/** @type {Ping | undefined} */ best, sample) => (best && best.roundTripMs <= sample.roundTripMs ? best : sample),
            undefined,
        );
    }
}

/** Joins both reports about a picture by its RTP timestamp, whichever comes first. */
export class FrameJournal {
    /** @type {Map<number, SentFrame>} */
    #sent = new Map();
    /** @type {Map<number, PresentedFrame>} */
    #presented = new Map();
    /** @type {ServerClock} */
    #clock;

    /** @param {ServerClock} clock */
    constructor(clock) {
        this.#clock = clock;
    }

    /**
     * @param {SentFrame} frame
     * @returns {MeasuredFrame | null} the join, if it is complete now
     */
    sent(frame) {
        const presented = this.#presented.get(frame.rtp);
        if (presented === undefined) {
            remember(this.#sent, frame.rtp, frame, FRAME_MEMORY);
            return null;
        }
        this.#presented.delete(frame.rtp);
        return this.#join(frame, presented);
    }

    /**
     * @param {PresentedFrame} frame
     * @returns {MeasuredFrame | null} the join, if it is complete now
     */
    presented(frame) {
        if (frame.rtpTimestamp === undefined) return null;
        const sent = this.#sent.get(frame.rtpTimestamp);
        if (sent === undefined) {
            remember(this.#presented, frame.rtpTimestamp, frame, FRAME_MEMORY);
            return null;
        }
        this.#sent.delete(frame.rtpTimestamp);
        return this.#join(sent, frame);
    }

    /**
     * @param {SentFrame} sent
     * @param {PresentedFrame} presented
     * @returns {MeasuredFrame}
     */
    #join(sent, presented) {
        return {
            sent,
            sentMs: this.#clock.toLocalMs(sent.sent_us),
            clockErrorMs: this.#clock.errorMs,
            receivedMs: presented.receiveTime ?? null,
            presentedMs: presented.presentationTime,
            expectedDisplayMs: presented.expectedDisplayTime,
        };
    }
}

/** From an input to the first picture that the scene drew knowing of it. */
export class ResponseTimes {
    /** By `seq`, rising. @type {Map<number, number>} */
    #waiting = new Map();

    /**
     * @param {number} seq
     * @param {number} atMs  when the viewer did it
     */
    acted(seq, atMs) {
        remember(this.#waiting, seq, atMs, INPUT_MEMORY);
    }

    /**
     * @param {MeasuredFrame} frame
     * @returns {Answer[]} the inputs that this picture answers. One that changed nothing has no answer that can
     * be seen, and none here.
     */
    shown(frame) {
        const answers = [];
        for (const [seq, atMs] of this.#waiting) {
            if (seq > frame.sent.seq) break;
            this.#waiting.delete(seq);
            if (isNew(frame.sent)) answers.push({ seq, atMs, ms: frame.presentedMs - atMs });
        }
        return answers;
    }
}

/**
 * Whether a picture was drawn for this frame. One that is sent once more (to keep the stream alive, to raise its quality, for a viewer
 * who has just come) took no time to draw, to read back and to convert.
 *
 * @param {SentFrame} frame
 */
export function isNew({ scene_us, readback_us, convert_us }) {
    return scene_us + readback_us + convert_us > 0;
}

/** The last so many values of something. */
export class Recent {
    /** @type {number[]} */
    #values = [];
    /** @type {number} */
    #capacity;

    /** @param {number} capacity */
    constructor(capacity) {
        this.#capacity = capacity;
    }

    /** @param {number} value */
    add(value) {
        this.#values.push(value);
        if (this.#values.length > this.#capacity) this.#values.shift();
    }

    /** @returns {Distribution | null} null without any value */
    get distribution() {
        return distribution(this.#values);
    }
}

/**
 * @param {readonly number[]} values
 * @returns {Distribution | null} null without any value
 */
export function distribution(values) {
    const sorted = [...values].sort((a, b) => a - b);
    // Nearest rank: always a value that was measured.
    const rank = (/** @type {number} */ share) => sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)];
    const p50 = rank(0.5);
    const p95 = rank(0.95);
    return p50 === undefined || p95 === undefined ? null : { p50, p95, count: sorted.length };
}

/**
 * What counts of one `getStats()`.
 *
 * @typedef {object} Snapshot
 * @property {number} atMs
 * @property {number} framesDecoded
 * @property {number} framesDropped
 * @property {number} bytesReceived
 * @property {number} totalDecodeTimeS
 * @property {number | null} roundTripMs
 */

/**
 * @param {Iterable<Record<string, any>>} reports  the values of an `RTCStatsReport`
 * @returns {Snapshot | null} null while no video has been received
 */
export function snapshotOf(reports) {
    const all = [...reports];
    const video = all.find((report) => report.type === 'inbound-rtp' && report.kind === 'video');
    if (video === undefined) return null;
    const transport = all.find((report) => report.type === 'transport' && report.selectedCandidatePairId);
    const pair = all.find((report) => report.type === 'candidate-pair' && isSelected(report, transport));
    const count = (/** @type {unknown} */ value) => (typeof value === 'number' ? value : 0);
    return {
        atMs: count(video.timestamp),
        framesDecoded: count(video.framesDecoded),
        framesDropped: count(video.framesDropped),
        bytesReceived: count(video.bytesReceived),
        totalDecodeTimeS: count(video.totalDecodeTime),
        roundTripMs: typeof pair?.currentRoundTripTime === 'number' ? pair.currentRoundTripTime * 1000 : null,
    };
}

/**
 * @param {Record<string, any>} pair
 * @param {Record<string, any> | undefined} transport
 */
function isSelected(pair, transport) {
    return transport === undefined ? pair.nominated === true : pair.id === transport.selectedCandidatePairId;
}

/**
 * Rates between two snapshots of one connection.
 *
 * @param {Snapshot} before
 * @param {Snapshot} after
 * @returns {{ framesPerSecond: number, bitrateBps: number, decodeMs: number | null } | null} null when no time passed; `decodeMs`
 * is null when no picture was decoded
 */
export function ratesBetween(before, after) {
    const seconds = (after.atMs - before.atMs) / 1000;
    if (!(seconds > 0)) return null;
    const frames = after.framesDecoded - before.framesDecoded;
    return {
        framesPerSecond: frames / seconds,
        bitrateBps: ((after.bytesReceived - before.bytesReceived) * 8) / seconds,
        decodeMs: frames > 0 ? ((after.totalDecodeTimeS - before.totalDecodeTimeS) * 1000) / frames : null,
    };
}

/**
 * Puts a value at the end of a map; beyond `capacity` the oldest one goes.
 *
 * @template V
 * @param {Map<number, V>} map
 * @param {number} key
 * @param {V} value
 * @param {number} capacity
 */
function remember(map, key, value, capacity) {
    map.set(key, value);
    if (map.size <= capacity) return;
    const oldest = map.keys().next();
    if (!oldest.done) map.delete(oldest.value);
}
