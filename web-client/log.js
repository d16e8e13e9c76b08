// @ts-check
/**
 * What a session's scene has printed, beside its picture or beside the reason of its end. Asks for it only while it is shown.
 *
 * @typedef {import('./api.js').Log} Log
 * @typedef {import('./api.js').LogLine} LogLine
 */
import { Problem } from './api.js';
import { make } from './page.js';

/** A person reads no faster. */
const PERIOD_MS = 1_000;
/** The server keeps fewer; whatever it sends, the page stays usable. */
const MAX_LINES = 2_000;
/** A line that is longer is cut on the page; the copy has all of it. */
const MAX_LINE_CHARACTERS = 4_000;
/** How near to its end a list must be to follow what comes. */
const FOLLOW_PX = 24;

/** The source of lines that the server wrote itself: why the session ended. */
const SERVER = 'session';
/** What a source is called on the page. @type {Readonly<Record<string, string>>} */
const SOURCES = { stdout: 'out', stderr: 'err', webgpu: 'gpu', debug: 'debug', info: 'info', warn: 'warn', error: 'error', [SERVER]: 'end' };

export class LogPanel {
    /** @type {{ panel: HTMLElement, list: HTMLElement, note: HTMLElement, copy: HTMLElement }} */
    #parts;
    /** @type {() => Promise<Log | null>} */
    #read;
    /** @type {Log} */
    #log = { lines: [], dropped: 0 };
    #isOpen = false;
    #isLive = true;
    /** The end of a session opened it, not the viewer. */
    #isUnasked = false;
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    #timer;
    /** Counts readings: what an earlier one still brings is void. */
    #turn = 0;

    /**
     * @param {{ panel: HTMLElement, list: HTMLElement, note: HTMLElement, copy: HTMLElement }} parts  the page's elements
     * @param {() => Promise<Log | null>} read  null when there is no session (yet)
     */
    constructor(parts, read) {
        this.#parts = parts;
        this.#read = read;
        parts.copy.addEventListener('click', () => void this.#copy());
        document.addEventListener('visibilitychange', () => {
            if (this.#isOpen && this.#isLive) void this.#poll();
        });
    }

    get isOpen() {
        return this.#isOpen;
    }

    /** @param {boolean} isOpen */
    show(isOpen) {
        this.#isOpen = isOpen;
        this.#isUnasked = false;
        this.#parts.panel.hidden = !isOpen;
        clearTimeout(this.#timer);
        if (isOpen) void this.#poll();
    }

    /** A session begins: what an earlier one printed goes. */
    begin() {
        this.#turn += 1;
        this.#isLive = true;
        this.#draw({ lines: [], dropped: 0 });
        this.#note('');
        if (this.#isUnasked) this.show(false);
        else if (this.#isOpen) void this.#poll();
    }

    /**
     * The session is over: the log is read once more and then not again. It is shown when it has something to say.
     *
     * @param {boolean} isTelling  the log may say why
     */
    async end(isTelling) {
        this.#isLive = false;
        clearTimeout(this.#timer);
        if (!isTelling && !this.#isOpen) return;
        await this.#poll();
        // The server's own line says what the page says already.
        const hasSaid = this.#log.lines.some(({ source }) => source !== SERVER);
        if (!isTelling || this.#isOpen || this.#isLive || !hasSaid) return;
        this.#isOpen = true;
        this.#isUnasked = true;
        this.#parts.panel.hidden = false;
        this.#parts.list.scrollTop = this.#parts.list.scrollHeight;
    }

    async #poll() {
        clearTimeout(this.#timer);
        // Nobody reads it in the background. Its end is read there all the same: it has to be there when somebody comes back.
        if (this.#isLive && document.visibilityState === 'hidden') return;
        const turn = ++this.#turn;
        try {
            const log = await this.#read();
            if (turn !== this.#turn) return;
            if (log !== null) this.#draw(log);
        } catch (error) {
            if (turn !== this.#turn) return;
            this.#note(whyNot(error));
        }
        if (this.#isOpen && this.#isLive) this.#timer = setTimeout(() => void this.#poll(), PERIOD_MS);
    }

    /** @param {Log} log */
    #draw(log) {
        const { list } = this.#parts;
        const isFollowing = list.scrollHeight - list.scrollTop - list.clientHeight < FOLLOW_PX;
        const lines = log.lines.slice(-MAX_LINES);
        // The log only grows at its end, until the server forgets its beginning: then everything is drawn anew.
        const known = this.#log.lines;
        const first = lines[0];
        const isContinued = log.dropped === this.#log.dropped && first !== undefined && known.length > 0 && lines.length >= known.length &&
            first.at_ms === known[0]?.at_ms && first.line === known[0]?.line;
        if (isContinued) list.append(...lines.slice(known.length).map(row));
        else list.replaceChildren(...lines.map(row));
        this.#log = { lines, dropped: log.dropped };
        if (isFollowing) list.scrollTop = list.scrollHeight;
        if (lines.length === 0) this.#note('The scene has printed nothing.');
        else this.#note(log.dropped > 0 ? `${log.dropped} earlier or too frequent lines are left out.` : '');
        this.#parts.copy.hidden = lines.length === 0;
    }

    /** @param {string} text */
    #note(text) {
        if (this.#parts.note.textContent !== text) this.#parts.note.textContent = text;
    }

    async #copy() {
        const { copy } = this.#parts;
        const text = this.#log.lines.map(({ at_ms: atMs, source, line }) => `${timeText(atMs)} ${source} ${line}`).join('\n');
        let said = 'Copied';
        try {
            await navigator.clipboard.writeText(`${text}\n`);
        } catch {
            // Only pages of secure origins may; the text itself can be selected.
            getSelection()?.selectAllChildren(this.#parts.list);
            said = 'Selected';
        }
        copy.textContent = said;
        setTimeout(() => { copy.textContent = 'Copy log'; }, 2_000);
    }
}

/** @param {LogLine} line */
function row({ at_ms: atMs, source, line }) {
    const text = source === SERVER ? firstLine(line) : line;
    const tag = make('span', { className: 'log-source', textContent: SOURCES[source] ?? source });
    const item = make('li', {},
        make('span', { className: 'log-time', textContent: timeText(atMs) }), ' ',
        tag, ' ',
        make('span', { className: 'log-line', textContent: text.slice(0, MAX_LINE_CHARACTERS) }));
    item.dataset.source = source;
    return item;
}

/** The reason stands in full where the page says it. @param {string} line  with its line breaks escaped */
function firstLine(line) {
    return line.split('\\u{a}', 1)[0] ?? '';
}

/**
 * @param {number} atMs  since the session began
 * @returns {string} minutes, seconds, thousandths
 */
export function timeText(atMs) {
    const seconds = Math.floor(atMs / 1_000);
    const pad = (/** @type {number} */ value, /** @type {number} */ digits) => String(value).padStart(digits, '0');
    return `${pad(Math.floor(seconds / 60), 2)}:${pad(seconds % 60, 2)}.${pad(Math.floor(atMs % 1_000), 3)}`;
}

/** @param {unknown} error */
function whyNot(error) {
    if (error instanceof Problem && (error.status === 401 || error.status === 403)) return 'You may not read this session’s log.';
    if (error instanceof Problem && error.status === 404) return 'The server has forgotten this session’s log.';
    return 'The log could not be read.';
}
