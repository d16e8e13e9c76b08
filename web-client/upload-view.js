// @ts-check
/**
 * One upload on the page: how far it is, what the server says of it, what can be done. Draws states; what leads from one to the next
 * is upload.js's matter.
 *
 * @typedef {import('./upload.js').Upload} Upload
 * @typedef {import('./api.js').Scene} Scene
 * @typedef {import('./api.js').Problem} Problem
 *
 * @typedef {object} Actions
 * @property {(upload: Upload) => void} remove  cancel or dismiss
 * @property {(upload: Upload) => void} retry
 */
import { listText, sizeText, usesOf, waitText } from './formats.js';
import { make } from './page.js';
import { picture } from './picture.js';
import { explainRefusal } from './refusals.js';

/** A countdown's step. */
const SECOND_MS = 1_000;

export class UploadView {
    item = make('li', { className: 'upload' });
    #progress = make('progress', { max: 1 });
    #text = make('p', { className: 'upload-text' });
    /** @type {Upload} */
    #upload;
    /** @type {Actions} */
    #actions;
    #drawn = '';
    /** @type {ReturnType<typeof setInterval> | undefined} */
    #countdown;

    /**
     * @param {Upload} upload
     * @param {Actions} actions
     */
    constructor(upload, actions) {
        this.#upload = upload;
        this.#actions = actions;
        this.#progress.ariaLabel = `${upload.name}: sent`;
    }

    /** @returns {string} what a screen reader shall hear about this; empty when there is nothing new */
    render() {
        const { name, state } = this.#upload;
        clearInterval(this.#countdown);
        if (state.stage === 'sending') {
            this.#progress.value = state.sentFraction;
            this.#text.textContent = `Sending… ${Math.floor(state.sentFraction * 100)} %`;
        }
        const isPicture = state.stage === 'done' && state.scene.thumbnail !== null;
        const drawing = `${state.stage} ${isPicture}`;
        // Progress alone builds nothing anew, so that the focus stays on the button.
        const isNew = drawing !== this.#drawn;
        if (!isNew && state.stage === 'sending') return '';
        this.#drawn = drawing;
        const hadFocus = this.item.contains(document.activeElement);
        this.item.dataset.stage = state.stage;
        switch (state.stage) {
            case 'gone':
                this.item.remove();
                return '';
            case 'queued':
                this.#text.textContent = 'Waits for its turn.';
                this.#layOut([this.#text], [this.#removeButton('Cancel')]);
                break;
            case 'sending':
                this.#layOut([this.#text, this.#progress], [this.#removeButton('Cancel')]);
                break;
            case 'checking':
                this.#text.textContent = 'Checking… The server compiles it and looks at what it needs.';
                this.#layOut([this.#text, this.#working()], [this.#removeButton('Cancel')]);
                break;
            case 'waiting':
                this.#count(state.untilMs);
                this.#layOut([this.#text, make('p', { className: 'upload-said', textContent: state.problem.message })], [this.#removeButton('Cancel')]);
                break;
            case 'failed':
                this.#drawFailure(state.problem);
                break;
            case 'done':
                this.#drawScene(state.scene, state.isNew, state.isPictureExpected);
                break;
        }
        if (hadFocus) /** @type {HTMLElement | null} */ (this.item.querySelector('a, button'))?.focus();
        return isNew ? announcement(name, this.#upload) : '';
    }

    /**
     * @param {Node[]} content
     * @param {Node[]} actions
     */
    #layOut(content, actions) {
        const { name, file } = this.#upload;
        this.item.replaceChildren(
            make('div', { className: 'upload-body' },
                make('h3', {}, make('span', { className: 'upload-name', textContent: name }), ' ',
                    make('span', { className: 'upload-size', textContent: sizeText(file.size) })),
                ...content),
            make('div', { className: 'actions' }, ...actions),
        );
    }

    /** @param {number} untilMs */
    #count(untilMs) {
        const tell = () => {
            this.#text.textContent = `The server asks to wait. Next try in ${waitText(untilMs - Date.now())}.`;
        };
        this.#countdown = setInterval(tell, SECOND_MS);
        tell();
    }

    /** @param {Problem} problem */
    #drawFailure(problem) {
        const { title, text, command, detail, isRetryable } = explainRefusal(problem, this.#upload.file.size);
        this.item.dataset.code = problem.code;
        /** @type {Node[]} */
        const content = [make('p', { className: 'upload-title', textContent: title }), make('p', { className: 'upload-text', textContent: text })];
        if (command !== null) content.push(make('pre', {}, make('code', { textContent: command })));
        if (detail !== '') content.push(make('p', { className: 'upload-said', textContent: detail }));
        const buttons = [this.#removeButton('Dismiss')];
        if (isRetryable) buttons.unshift(this.#button('Try again', 'button', () => this.#actions.retry(this.#upload)));
        this.#layOut(content, buttons);
    }

    /**
     * @param {Scene} scene
     * @param {boolean} isNew
     * @param {boolean} isPictureExpected
     */
    #drawScene(scene, isNew, isPictureExpected) {
        const uses = usesOf(scene.imports);
        const entry = scene.entry_point === null ? [] : ['It begins at ', make('code', { textContent: scene.entry_point }), '.'];
        /** @type {Node[]} */
        const content = [
            make('p', { className: 'upload-title', textContent: isNew ? 'It can be run here.' : 'The library has it already.' }),
            make('p', { className: 'upload-text' }, uses.length === 0 ? 'It uses nothing of the server. ' : `It uses ${listText(uses)}. `, ...entry),
        ];
        for (const warning of scene.warnings) content.push(make('p', { className: 'upload-said', textContent: warning }));
        if (scene.imports.length > 0) {
            content.push(make('details', {},
                make('summary', { textContent: scene.imports.length === 1 ? '1 import' : `${scene.imports.length} imports` }),
                make('ul', {}, ...scene.imports.map((name) => make('li', {}, make('code', { textContent: name }))))));
        }
        if (isPictureExpected) content.push(make('p', { className: 'upload-hint', textContent: 'Its first picture is being drawn…' }));
        const watch = make('a', { className: 'button primary', href: scene.view, textContent: 'Watch' });
        this.#layOut(content, [watch, this.#removeButton('Dismiss')]);
        this.item.prepend(picture(scene.name, scene.thumbnail));
    }

    /** That something goes on without a known end. */
    #working() {
        return make('progress', { ariaLabel: `${this.#upload.name}: being checked` });
    }

    /** @param {string} label */
    #removeButton(label) {
        return this.#button(label, 'button', () => this.#actions.remove(this.#upload));
    }

    /**
     * @param {string} label
     * @param {string} className
     * @param {() => void} act
     */
    #button(label, className, act) {
        const button = make('button', { type: 'button', className, textContent: label, ariaLabel: `${label}: ${this.#upload.name}` });
        button.addEventListener('click', act);
        return button;
    }
}

/**
 * @param {string} name
 * @param {Upload} upload
 */
function announcement(name, { state, file }) {
    switch (state.stage) {
        case 'sending': return `Sending ${name}.`;
        case 'checking': return `${name} is being checked.`;
        case 'waiting': return `${name} waits, because the server asks for it.`;
        case 'failed': return `${name} was not added. ${explainRefusal(state.problem, file.size).title}.`;
        case 'done': return state.scene.thumbnail === null || !state.isPictureExpected ? `${name} can be watched.` : '';
        default: return '';
    }
}
