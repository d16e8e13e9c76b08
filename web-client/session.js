// @ts-check
/**
 * The life of a viewer's session: one of four states, and only the transitions in `TRANSITIONS`. Owns creating, connecting,
 * trying again and giving up. Knows neither the page nor WebRTC: both are handed in.
 *
 * @typedef {import('./api.js').SessionInfo} SessionInfo
 * @typedef {import('./api.js').EndReason} EndReason
 * @typedef {import('./api.js').Size} Size
 * @typedef {import('./whep.js').ConnectionHandlers} ConnectionHandlers
 * @typedef {import('./whep.js').Lane} Lane
 * @typedef {'connecting' | 'live' | 'reconnecting' | 'ended'} State
 */
import { Problem } from './api.js';

/** @type {Readonly<Record<State, readonly State[]>>} */
export const TRANSITIONS = {
    connecting: ['live', 'reconnecting', 'ended'],
    live: ['reconnecting', 'ended'],
    reconnecting: ['live', 'ended'],
    ended: ['connecting'],
};

/** Pauses before each new attempt after a loss. A restart of the server takes a few seconds, so they reach over half a minute. */
export const RETRY_DELAYS_MS = [250, 1_000, 2_000, 4_000, 8_000, 16_000];
/** A connection that shows nothing for this long is given up. The scene is compiled before there is a session, so this is the start of the worker and of the stream. */
export const FIRST_PICTURE_MS = 20_000;
/** How often a server that is busy is asked again for a session, and how long at most each time. */
export const MAX_WAITS = 6;
export const MAX_WAIT_MS = 60_000;
/** A server that asked to wait may be restarting: then it does not answer for a while. */
const RESTART_WAIT_MS = 5_000;

/**
 * @typedef {object} Link  what a [`Connection`] offers
 * @property {() => Promise<void>} open
 * @property {(isOver: boolean) => void} close  `isOver`: the session has ended, there is nothing to leave
 * @property {(lane: Lane, message: object) => boolean} send
 * @property {() => Promise<RTCStatsReport>} stats
 *
 * @typedef {object} Surroundings
 * @property {(scene: string, size: Size) => Promise<SessionInfo>} createSession
 * @property {(id: string) => Promise<SessionInfo>} getSession
 * @property {(endpoint: string, handlers: ConnectionHandlers) => Link} connect
 * @property {(ms: number) => Promise<void>} wait
 *
 * @typedef {object} SessionHandlers
 * @property {(state: State) => void} onState
 * @property {(why: EndReason, ms: number) => void} onWait  the server asked to try again later, which happens by itself
 * @property {(id: string) => void} onCreated  a session was created, not joined
 * @property {(stream: MediaStream) => void} onStream
 * @property {(link: Link) => void} onOpen  messages can be sent
 * @property {(message: { type: string, [member: string]: unknown }) => void} onMessage
 * @property {() => void} onClosed  they cannot any more
 */

/**
 * How one connection came to its end.
 *
 * @typedef {{ ended: EndReason, isRejoinable: boolean } | { lost: EndReason, wasLive: boolean, waitMs: number }} Outcome
 */

export class ViewerSession {
    /** @type {State} */
    #state = 'connecting';
    /** @type {EndReason | null} */
    #end = null;
    /** The session may still be there: we stopped trying, or it did not let us in. */
    #isRejoinable = false;
    /** @type {string | null} */
    #id;
    /** @type {string} */
    #scene;
    /** @type {Surroundings} */
    #world;
    /** @type {SessionHandlers} */
    #handlers;
    /** @type {Link | null} */
    #link = null;
    /** @type {() => void} */
    #pictureShown = () => {};
    /** Counts lives: whatever an earlier one still waits for is void. */
    #life = 0;

    /**
     * @param {string} scene
     * @param {string | null} id  of a session to join; null creates one
     * @param {Surroundings} world
     * @param {SessionHandlers} handlers
     */
    constructor(scene, id, world, handlers) {
        this.#scene = scene;
        this.#id = id;
        this.#world = world;
        this.#handlers = handlers;
    }

    get state() {
        return this.#state;
    }

    /** Why the session is over; null while it is not. */
    get end() {
        return this.#end;
    }

    get id() {
        return this.#id;
    }

    /** Whether starting again means this session, not a new one. */
    get isRejoinable() {
        return this.#isRejoinable;
    }

    /**
     * Creates or joins the session and stays with it until it ends.
     *
     * @param {Size} size  device pixels of the picture's place
     */
    async start(size) {
        const life = ++this.#life;
        let id = this.#id;
        if (id === null) {
            id = await this.#create(life, size);
            if (id === null || life !== this.#life) return;
            this.#id = id;
            this.#handlers.onCreated(id);
        }
        await this.#stay(life, id);
    }

    /**
     * After one has ended, a new session of the same scene; where that is not so, the same session once more.
     *
     * @param {Size} size
     */
    async startAgain(size) {
        if (!this.#isRejoinable) this.#id = null;
        this.#isRejoinable = false;
        this.#end = null;
        this.#go('connecting');
        await this.start(size);
    }

    /** Leaves without a word to the page, because the page goes away. */
    leave() {
        this.#life += 1;
        this.#drop(false);
    }

    /** The page shows a picture of the current connection. */
    pictureShown() {
        this.#pictureShown();
    }

    /**
     * @param {Lane} lane
     * @param {object} message
     * @returns {boolean} whether it could be sent
     */
    send(lane, message) {
        return this.#link?.send(lane, message) ?? false;
    }

    /**
     * @param {number} life
     * @param {Size} size
     * @returns {Promise<string | null>} null when there is none, which then is said
     */
    async #create(life, size) {
        for (let waits = 0; ; waits += 1) {
            try {
                return (await this.#world.createSession(this.#scene, size)).id;
            } catch (error) {
                if (life !== this.#life) return null;
                const waitMs = waits < MAX_WAITS ? waitOf(error, waits > 0 ? RESTART_WAIT_MS : null) : null;
                if (waitMs === null) {
                    this.#finish(reasonOf(error));
                    return null;
                }
                this.#handlers.onWait(reasonOf(error), waitMs);
                await this.#world.wait(waitMs);
                if (life !== this.#life) return null;
            }
        }
    }

    /**
     * @param {number} life
     * @param {string} id
     */
    async #stay(life, id) {
        for (let attempt = 0; ; attempt += 1) {
            const outcome = await this.#attend(life, `/whep/${encodeURIComponent(id)}`);
            if (life !== this.#life) return;
            this.#drop('ended' in outcome);
            if ('ended' in outcome) {
                this.#isRejoinable = outcome.isRejoinable;
                this.#finish(await this.#fullReason(id, outcome.ended));
                return;
            }
            if (outcome.wasLive) attempt = 0;
            const delayMs = RETRY_DELAYS_MS[attempt];
            if (delayMs === undefined) {
                this.#isRejoinable = true;
                this.#finish(outcome.lost);
                return;
            }
            if (this.#state !== 'reconnecting') this.#go('reconnecting');
            if (outcome.waitMs > delayMs) this.#handlers.onWait(outcome.lost, outcome.waitMs);
            await this.#world.wait(Math.max(delayMs, outcome.waitMs));
            if (life !== this.#life) return;
        }
    }

    /**
     * Makes one connection and resolves when it is over.
     *
     * @param {number} life
     * @param {string} endpoint
     * @returns {Promise<Outcome>}
     */
    #attend(life, endpoint) {
        return new Promise((resolve) => {
            let wasLive = false;
            const lose = (/** @type {EndReason} */ lost, waitMs = 0) => resolve({ lost, wasLive, waitMs });
            /** @type {Link} */
            let link;
            try {
                link = this.#world.connect(endpoint, {
                    onStream: (stream) => this.#handlers.onStream(stream),
                    onOpen: () => this.#handlers.onOpen(link),
                    onMessage: (message) => {
                        if (message.type === 'ended') resolve({ ended: endReason(message), isRejoinable: false });
                        else this.#handlers.onMessage(message);
                    },
                    onLost: (why) => lose({ code: 'connection_lost', message: why }),
                });
            } catch (error) {
                // A browser that has no WebRTC, or does not let pages use it, will not have it a moment later.
                resolve({ ended: reasonOf(error), isRejoinable: true });
                return;
            }
            this.#link = link;
            this.#pictureShown = () => {
                if (wasLive || life !== this.#life) return;
                wasLive = true;
                this.#go('live');
            };
            link.open().catch((error) => {
                const isFinal = error instanceof Problem && !error.isTemporary;
                // Who says better who they are may be let in.
                if (isFinal) resolve({ ended: reasonOf(error), isRejoinable: error.status === 401 });
                else lose(reasonOf(error), waitOf(error, null) ?? 0);
            });
            void this.#world.wait(FIRST_PICTURE_MS).then(() => {
                if (!wasLive) lose({ code: 'no_picture', message: 'No picture came.' });
            });
        });
    }

    /**
     * A refused offer says only that the session is over; the API remembers why for a while.
     *
     * @param {string} id
     * @param {EndReason} reason
     */
    async #fullReason(id, reason) {
        if (reason.code !== 'session_ended') return reason;
        try {
            return (await this.#world.getSession(id)).ended ?? reason;
        } catch {
            return reason;
        }
    }

    /** @param {boolean} isOver  the session has ended */
    #drop(isOver) {
        const link = this.#link;
        this.#link = null;
        this.#pictureShown = () => {};
        if (link === null) return;
        this.#handlers.onClosed();
        link.close(isOver);
    }

    /** @param {EndReason} reason */
    #finish(reason) {
        this.#end = reason;
        this.#go('ended');
    }

    /** @param {State} state */
    #go(state) {
        if (!TRANSITIONS[this.#state].includes(state)) throw new Error(`a session cannot go from ${this.#state} to ${state}`);
        this.#state = state;
        this.#handlers.onState(state);
    }
}

/**
 * How long the server asks to wait.
 *
 * @param {unknown} error
 * @param {number | null} withoutAnswerMs  what to do when it does not even answer
 * @returns {number | null} null when waiting is not what it asks for
 */
function waitOf(error, withoutAnswerMs) {
    if (!(error instanceof Problem)) return null;
    const ms = error.status === 0 ? withoutAnswerMs : error.retryAfterMs;
    return ms === null || ms > MAX_WAIT_MS ? null : ms;
}

/**
 * @param {unknown} error
 * @returns {EndReason}
 */
function reasonOf(error) {
    if (error instanceof Problem) return { code: error.code, message: error.message };
    return { code: 'page_failed', message: error instanceof Error ? error.message : String(error) };
}

/**
 * @param {{ [member: string]: unknown }} message
 * @returns {EndReason}
 */
function endReason({ code, message }) {
    return { code: typeof code === 'string' ? code : 'ended', message: typeof message === 'string' ? message : '' };
}
