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
 * @property {(id: string) => void} onCreated  a session was created, not joined
 * @property {(stream: MediaStream) => void} onStream
 * @property {(link: Link) => void} onOpen  messages can be sent
 * @property {(message: { type: string, [member: string]: unknown }) => void} onMessage
 * @property {() => void} onClosed  they cannot any more
 */

/** How one connection came to its end. @typedef {{ ended: EndReason } | { lost: EndReason, wasLive: boolean }} Outcome */

export class ViewerSession {
    /** @type {State} */
    #state = 'connecting';
    /** @type {EndReason | null} */
    #end = null;
    /** True when we stopped trying, though the session may still be there. */
    #gaveUp = false;
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

    /**
     * Creates or joins the session and stays with it until it ends.
     *
     * @param {Size} size  device pixels of the picture's place
     */
    async start(size) {
        const life = ++this.#life;
        let id = this.#id;
        if (id === null) {
            try {
                id = (await this.#world.createSession(this.#scene, size)).id;
            } catch (error) {
                if (life === this.#life) this.#finish(reasonOf(error));
                return;
            }
            if (life !== this.#life) return;
            this.#id = id;
            this.#handlers.onCreated(id);
        }
        await this.#stay(life, id);
    }

    /**
     * After one has ended, a new session of the same scene; after giving up, the same session once more.
     *
     * @param {Size} size
     */
    async startAgain(size) {
        if (!this.#gaveUp) this.#id = null;
        this.#gaveUp = false;
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
     * @param {string} id
     */
    async #stay(life, id) {
        for (let attempt = 0; ; attempt += 1) {
            const outcome = await this.#attend(life, `/whep/${encodeURIComponent(id)}`);
            if (life !== this.#life) return;
            this.#drop('ended' in outcome);
            if ('ended' in outcome) {
                this.#finish(await this.#fullReason(id, outcome.ended));
                return;
            }
            if (outcome.wasLive) attempt = 0;
            const delayMs = RETRY_DELAYS_MS[attempt];
            if (delayMs === undefined) {
                this.#gaveUp = true;
                this.#finish(outcome.lost);
                return;
            }
            if (this.#state !== 'reconnecting') this.#go('reconnecting');
            await this.#world.wait(delayMs);
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
            const lose = (/** @type {EndReason} */ lost) => resolve({ lost, wasLive });
            const link = this.#world.connect(endpoint, {
                onStream: (stream) => this.#handlers.onStream(stream),
                onOpen: () => this.#handlers.onOpen(link),
                onMessage: (message) => {
                    if (message.type === 'ended') resolve({ ended: endReason(message) });
                    else this.#handlers.onMessage(message);
                },
                onLost: (why) => lose({ code: 'connection_lost', message: why }),
            });
            this.#link = link;
            this.#pictureShown = () => {
                if (wasLive || life !== this.#life) return;
                wasLive = true;
                this.#go('live');
            };
            link.open().catch((error) => {
                const isFinal = error instanceof Problem && !error.isTemporary;
                if (isFinal) resolve({ ended: reasonOf(error) });
                else lose(reasonOf(error));
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
 * @param {unknown} error
 * @returns {EndReason}
 */
function reasonOf(error) {
    if (error instanceof Problem) return { code: error.code, message: error.message };
    return { code: 'internal', message: error instanceof Error ? error.message : String(error) };
}

/**
 * @param {{ [member: string]: unknown }} message
 * @returns {EndReason}
 */
function endReason({ code, message }) {
    return { code: typeof code === 'string' ? code : 'ended', message: typeof message === 'string' ? message : '' };
}
