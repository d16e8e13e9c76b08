// @ts-check
/**
 * One WebRTC connection to a session: WHEP signalling, the video track, the two data channels. Knows the transport and not what the
 * messages mean. A connection is used once; who wants another makes another.
 */
import { Problem, request } from './api.js';
import { authorization } from './credentials.js';

/** Sub-protocol of both data channels. */
const PROTOCOL = 'scenecast.1';
/** After `disconnected`, ICE often recovers by itself within a few seconds; longer than that a person takes it for broken. */
const DISCONNECTED_GRACE_MS = 3_000;
/** A stalled link: moves beyond this are dropped, because a later one says more. About 100 moves. */
const MAX_MOTION_BUFFERED_BYTES = 16 << 10;

/**
 * @typedef {'motion' | 'events'} Lane
 * @typedef {object} ConnectionHandlers
 * @property {(stream: MediaStream) => void} onStream
 * @property {() => void} onOpen  messages can be sent
 * @property {(message: { type: string, [member: string]: unknown }) => void} onMessage
 * @property {(why: string) => void} onLost  at most once, and not after `close`
 */

export class Connection {
    /** @type {RTCPeerConnection} */
    #peer;
    /** @type {RTCDataChannel} */
    #motion;
    /** @type {RTCDataChannel} */
    #events;
    /** @type {string} */
    #endpoint;
    /** @type {ConnectionHandlers} */
    #handlers;
    /** What the server calls this connection; null until it answered. @type {URL | null} */
    #resource = null;
    /** @type {RTCIceCandidate[]} */
    #candidates = [];
    #candidatesEnded = false;
    #isPatching = false;
    #isClosed = false;
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    #disconnectedTimer;

    /**
     * @param {string} endpoint  the session's WHEP endpoint
     * @param {ConnectionHandlers} handlers
     */
    constructor(endpoint, handlers) {
        this.#endpoint = endpoint;
        this.#handlers = handlers;
        this.#peer = new RTCPeerConnection({ bundlePolicy: 'max-bundle' });
        this.#peer.addTransceiver('video', { direction: 'recvonly' });
        // Both ends know the ids beforehand, so that the server's settings hold in its own direction too.
        this.#motion = this.#peer.createDataChannel('motion', {
            negotiated: true,
            id: 0,
            protocol: PROTOCOL,
            ordered: false,
            maxRetransmits: 0,
        });
        this.#events = this.#peer.createDataChannel('events', { negotiated: true, id: 1, protocol: PROTOCOL });

        this.#peer.ontrack = (event) => {
            if (event.track.kind === 'video') handlers.onStream(event.streams[0] ?? new MediaStream([event.track]));
        };
        this.#peer.onicecandidate = (event) => {
            if (event.candidate) this.#candidates.push(event.candidate);
            else this.#candidatesEnded = true;
            void this.#patch();
        };
        this.#peer.onconnectionstatechange = () => this.#watch();
        this.#events.onopen = () => handlers.onOpen();
        this.#events.onmessage = (event) => this.#receive(event.data);
        this.#events.onclose = () => this.#lose('the events channel closed');
    }

    /**
     * Offers and takes the answer. Media and messages come later, through the handlers.
     *
     * @throws {Problem} what the server said against it
     */
    async open() {
        await this.#peer.setLocalDescription();
        const offer = this.#peer.localDescription?.sdp ?? '';
        const response = await request(this.#endpoint, {
            method: 'POST',
            headers: { 'Content-Type': 'application/sdp' },
            body: offer,
        });
        const location = response.headers.get('Location');
        if (location === null) throw new Problem(502, 'bad_answer', 'It has no Location.');
        this.#resource = new URL(location, response.url);
        if (this.#isClosed) {
            this.#delete();
            return;
        }
        const answer = await response.text();
        if (this.#isClosed) return;
        await this.#peer.setRemoteDescription({ type: 'answer', sdp: answer });
        void this.#patch();
    }

    /**
     * Sends one message if the connection can take it now.
     *
     * @param {Lane} lane
     * @param {object} message
     * @returns {boolean} whether it was handed to the channel
     */
    send(lane, message) {
        // The lossy channel may open a moment after the reliable one.
        const channel = lane === 'motion' && this.#motion.readyState === 'open' ? this.#motion : this.#events;
        if (channel.readyState !== 'open') return false;
        if (lane === 'motion' && channel.bufferedAmount > MAX_MOTION_BUFFERED_BYTES) return false;
        channel.send(JSON.stringify(message));
        return true;
    }

    /** The browser's statistics of this connection. */
    stats() {
        return this.#peer.getStats();
    }

    /**
     * Leaves the session; the request outlives the page.
     *
     * @param {boolean} isOver  the session has ended: there is nothing to leave
     */
    close(isOver) {
        if (this.#isClosed) return;
        this.#isClosed = true;
        clearTimeout(this.#disconnectedTimer);
        if (!isOver) this.#delete();
        this.#peer.close();
    }

    #delete() {
        if (this.#resource === null) return;
        // Whether it arrives does not matter: the server also notices that nothing comes any more.
        fetch(this.#resource, { method: 'DELETE', keepalive: true, headers: authorization() }).catch(() => {});
        this.#resource = null;
    }

    /** Tells the server the candidates that came since the last time, one request at a time. */
    async #patch() {
        if (this.#isPatching || this.#resource === null || this.#peer.remoteDescription === null) return;
        this.#isPatching = true;
        while (!this.#isClosed && this.#resource !== null && (this.#candidates.length > 0 || this.#candidatesEnded)) {
            const body = candidateFragment(this.#peer.localDescription?.sdp ?? '', this.#candidates, this.#candidatesEnded);
            this.#candidates = [];
            this.#candidatesEnded = false;
            try {
                await request(this.#resource, {
                    method: 'PATCH',
                    headers: { 'Content-Type': 'application/trickle-ice-sdpfrag' },
                    body,
                });
            } catch {
                // The server learns where we are from our own checks as well; if it does not, the connection fails and says so.
            }
        }
        this.#isPatching = false;
    }

    #watch() {
        clearTimeout(this.#disconnectedTimer);
        const state = this.#peer.connectionState;
        if (state === 'failed' || state === 'closed') this.#lose(`the connection ${state}`);
        if (state === 'disconnected') {
            this.#disconnectedTimer = setTimeout(() => this.#lose('nothing came any more'), DISCONNECTED_GRACE_MS);
        }
    }

    /** @param {unknown} data */
    #receive(data) {
        if (this.#isClosed || typeof data !== 'string') return;
        const message = parseMessage(data);
        if (message !== null) this.#handlers.onMessage(message);
    }

    /** @param {string} why */
    #lose(why) {
        if (this.#isClosed) return;
        this.close(false);
        this.#handlers.onLost(why);
    }
}

/**
 * A message of the protocol: an object with a `type`. Anything else is null.
 *
 * @param {string} text
 * @returns {{ type: string, [member: string]: unknown } | null}
 */
export function parseMessage(text) {
    try {
        const value = JSON.parse(text);
        return typeof value === 'object' && value !== null && typeof value.type === 'string' ? value : null;
    } catch {
        return null;
    }
}

/**
 * The body of a WHEP PATCH: an SDP fragment (RFC 8840, section 9) with candidates of the first m-line, the only one that counts
 * when everything is bundled.
 *
 * @param {string} sdp  the offer that the candidates belong to
 * @param {readonly { candidate: string }[]} candidates
 * @param {boolean} isLast  no more will follow
 */
export function candidateFragment(sdp, candidates, isLast) {
    const line = (/** @type {RegExp} */ pattern) => sdp.match(pattern)?.[0] ?? '';
    const lines = [line(/^a=ice-ufrag:.*$/m), line(/^a=ice-pwd:.*$/m), line(/^m=.*$/m), line(/^a=mid:.*$/m)];
    for (const { candidate } of candidates) if (candidate !== '') lines.push(`a=${candidate}`);
    if (isLast) lines.push('a=end-of-candidates');
    return lines.map((text) => text.trimEnd() + '\r\n').join('');
}
