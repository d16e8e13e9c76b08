// @ts-check
/**
 * Files that are to become scenes: one after the other, each in one of the states of `Upload`. Owns their order, cancelling, waiting
 * when the server asks for it, and waiting for a scene's picture. Knows neither the page nor how a file travels: both are handed in.
 *
 * @typedef {import('./api.js').Scene} Scene
 * @typedef {import('./transfer.js').Uploaded} Uploaded
 *
 * @typedef {{ stage: 'queued' }
 *   | { stage: 'sending', sentFraction: number }
 *   | { stage: 'checking' }
 *   | { stage: 'waiting', untilMs: number, problem: Problem }
 *   | { stage: 'done', scene: Scene, isNew: boolean, isPictureExpected: boolean }
 *   | { stage: 'failed', problem: Problem }
 *   | { stage: 'gone' }} UploadState  `gone`: cancelled or dismissed
 *
 * @typedef {object} World
 * @property {(file: File, name: string, on: { progress: (sentFraction: number) => void, sent: () => void }, signal: AbortSignal)
 *     => Promise<Uploaded>} send
 * @property {(id: string) => Promise<Scene>} getScene
 * @property {(ms: number) => Promise<void>} wait
 * @property {() => number} nowMs
 */
import { Problem } from './api.js';
import { nameOfFile } from './formats.js';

/** More than anybody means to add by hand; a folder of ten thousand files is a slip. */
export const MAX_UNFINISHED = 100;
/** How often one file waits because the server asks for it, and how long at most each time. */
export const MAX_WAITS = 3;
export const MAX_WAIT_MS = 60_000;
/** The pauses before each look for a scene's picture: about half a minute, in which a software rasteriser starts and draws. */
export const PICTURE_PAUSES_MS = [400, 800, 1_200, 2_000, 3_000, 4_000, 5_000, 7_000, 10_000];

export class Upload {
    /** @type {UploadState} */
    #state = { stage: 'queued' };
    /** @type {(upload: Upload) => void} */
    #onChange;
    abort = new AbortController();

    /**
     * @param {File} file
     * @param {(upload: Upload) => void} onChange
     */
    constructor(file, onChange) {
        this.file = file;
        this.name = nameOfFile(file.name);
        this.#onChange = onChange;
    }

    get state() {
        return this.#state;
    }

    /** Nothing more will happen to it by itself. */
    get isFinished() {
        return this.#state.stage === 'done' || this.#state.stage === 'failed' || this.#state.stage === 'gone';
    }

    /** @param {UploadState} state */
    become(state) {
        // What was cancelled stays so, whatever still comes in.
        if (this.#state.stage === 'gone') return;
        this.#state = state;
        this.#onChange(this);
    }
}

export class UploadQueue {
    /** @type {World} */
    #world;
    /** @type {(upload: Upload) => void} */
    #onChange;
    /** @type {Upload[]} */
    #queue = [];
    #unfinished = 0;
    #isRunning = false;

    /**
     * @param {World} world
     * @param {(upload: Upload) => void} onChange  a new upload, or a new state of one
     */
    constructor(world, onChange) {
        this.#world = world;
        this.#onChange = onChange;
    }

    /** Whether leaving the page would lose something. */
    get isBusy() {
        return this.#unfinished > 0;
    }

    /** @param {Iterable<File>} files */
    add(files) {
        let refused = 0;
        for (const file of files) {
            if (this.#unfinished < MAX_UNFINISHED) this.#enqueue(new Upload(file, this.#onChange));
            // One is enough to say it.
            else if (++refused === 1) {
                const upload = new Upload(file, this.#onChange);
                upload.become({ stage: 'failed', problem: new Problem(0, 'too_many_files', `At most ${MAX_UNFINISHED} files can wait.`) });
            }
        }
    }

    /**
     * Ends it, wherever it is, and takes it off the page.
     *
     * @param {Upload} upload
     */
    remove(upload) {
        const wasFinished = upload.isFinished;
        upload.become({ stage: 'gone' });
        upload.abort.abort();
        const index = this.#queue.indexOf(upload);
        if (index === -1) return;
        this.#queue.splice(index, 1);
        if (!wasFinished) this.#unfinished -= 1;
    }

    /**
     * The same file once more, at the end of the queue.
     *
     * @param {Upload} upload  one that failed
     */
    retry(upload) {
        upload.abort = new AbortController();
        this.#enqueue(upload);
    }

    /** @param {Upload} upload */
    #enqueue(upload) {
        this.#unfinished += 1;
        this.#queue.push(upload);
        upload.become({ stage: 'queued' });
        void this.#run();
    }

    async #run() {
        if (this.#isRunning) return;
        this.#isRunning = true;
        for (let upload = this.#queue.shift(); upload !== undefined; upload = this.#queue.shift()) {
            await this.#process(upload);
            this.#unfinished -= 1;
        }
        this.#isRunning = false;
    }

    /** @param {Upload} upload */
    async #process(upload) {
        for (let waits = 0; upload.state.stage !== 'gone'; waits += 1) {
            const outcome = await this.#send(upload);
            if (!(outcome instanceof Problem)) {
                upload.become({ stage: 'done', ...outcome, isPictureExpected: outcome.scene.thumbnail === null });
                // The next file need not wait for this one's picture.
                void this.#awaitPicture(upload, outcome);
                return;
            }
            const pauseMs = outcome.retryAfterMs;
            if (pauseMs === null || pauseMs > MAX_WAIT_MS || waits === MAX_WAITS) {
                upload.become({ stage: 'failed', problem: outcome });
                return;
            }
            upload.become({ stage: 'waiting', untilMs: this.#world.nowMs() + pauseMs, problem: outcome });
            await Promise.race([this.#world.wait(pauseMs), aborted(upload.abort.signal)]);
        }
    }

    /**
     * @param {Upload} upload
     * @returns {Promise<Uploaded | Problem>}
     */
    async #send(upload) {
        upload.become({ stage: 'sending', sentFraction: 0 });
        const on = {
            progress: (/** @type {number} */ sentFraction) => upload.become({ stage: 'sending', sentFraction }),
            sent: () => upload.become({ stage: 'checking' }),
        };
        try {
            return await this.#world.send(upload.file, upload.name, on, upload.abort.signal);
        } catch (error) {
            if (error instanceof Problem) return error;
            return new Problem(0, 'page_failed', error instanceof Error ? error.message : String(error));
        }
    }

    /**
     * @param {Upload} upload
     * @param {Uploaded} uploaded
     */
    async #awaitPicture(upload, { scene, isNew }) {
        let latest = scene;
        for (const pauseMs of PICTURE_PAUSES_MS) {
            if (latest.thumbnail !== null || upload.state.stage !== 'done') return;
            await this.#world.wait(pauseMs);
            try {
                latest = await this.#world.getScene(scene.id);
            } catch (error) {
                // It was deleted meanwhile, or we may not look: then no picture will come.
                if (error instanceof Problem && !error.isTemporary) break;
                continue;
            }
            if (latest.thumbnail !== null) upload.become({ stage: 'done', scene: latest, isNew, isPictureExpected: false });
        }
        if (latest.thumbnail === null && upload.state.stage === 'done') {
            upload.become({ stage: 'done', scene: latest, isNew, isPictureExpected: false });
        }
    }
}

/**
 * @param {AbortSignal} signal
 * @returns {Promise<void>}
 */
function aborted(signal) {
    return new Promise((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
}
