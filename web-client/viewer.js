// @ts-check
/**
 * The viewer page: brings session, stage, meter and the page's elements together. What each does stands in its own module.
 */
import { createSession, getSession } from './api.js';
import { InputState } from './input.js';
import { Meter } from './meter.js';
import { show } from './overlay.js';
import { explain } from './reasons.js';
import { ViewerSession } from './session.js';
import { Stage } from './stage.js';
import { hideWhenIdle, offerFullscreen } from './toolbar.js';
import { Connection } from './whep.js';

const FIGURES_KEY = 'F2';
const PROTOCOL_VERSION = 1;

/**
 * @param {string} pathname  `/view/{scene}` or `/view/{scene}/{session}`
 * @returns {{ scene: string, id: string | null }}
 */
function parsePath(pathname) {
    const [, , scene = '', id = ''] = pathname.split('/').map(decodeURIComponent);
    return { scene, id: id === '' ? null : id };
}

/**
 * @template {Element} T
 * @param {string} id
 * @param {new () => T} type
 * @returns {T}
 */
function element(id, type) {
    const found = document.getElementById(id);
    if (!(found instanceof type)) throw new Error(`the page has no element ${id}`);
    return found;
}

const page = document.body;
const video = element('video', HTMLVideoElement);
const notice = element('notice', HTMLElement);
const ended = element('ended', HTMLElement);
const again = element('again', HTMLButtonElement);
const figures = element('figures', HTMLElement);
const figuresButton = element('figures-button', HTMLButtonElement);

const { scene, id } = parsePath(location.pathname);
document.title = `${scene} · Scenecast`;
element('scene', HTMLElement).textContent = scene;

const meter = new Meter(video);
const input = new InputState((lane, message, atMs) => {
    if (session.send(lane, message)) meter.acted(message.seq, atMs);
});
const stage = new Stage(element('stage', HTMLElement), video, input);
/** The size that the server was last told. @type {import('./api.js').Size | null} */
let toldSize = null;

const session = new ViewerSession(
    scene,
    id,
    {
        createSession: (name, size) => {
            toldSize = size;
            return createSession(name, size);
        },
        getSession,
        connect: (endpoint, handlers) => new Connection(endpoint, handlers),
        wait: (ms) => new Promise((resolve) => setTimeout(resolve, ms)),
    },
    {
        onState: render,
        onCreated: (created) => {
            history.replaceState(null, '', `/view/${encodeURIComponent(scene)}/${encodeURIComponent(created)}`);
        },
        onStream: (stream) => {
            video.srcObject = stream;
            awaitPicture(stream);
        },
        onOpen: (link) => {
            link.send('events', { type: 'hello', version: PROTOCOL_VERSION });
            input.startOver(stage.isFocused, performance.now());
            meter.attach(link);
            void fitWhenAlone();
        },
        onMessage: (message) => meter.receive(message),
        onClosed: () => {
            meter.attach(null);
            input.startOver(false, performance.now());
        },
    },
);

/**
 * Live is when the first picture of this stream can be seen.
 *
 * @param {MediaStream} stream
 */
function awaitPicture(stream) {
    const shown = () => {
        if (video.srcObject === stream) session.pictureShown();
    };
    // Frame callbacks rest while the page is in the background, and not every browser has them.
    video.requestVideoFrameCallback?.(shown);
    video.addEventListener('loadeddata', shown, { once: true });
}

/** The stream has this page's size if it was made for it, or if nobody else looks on. */
async function fitWhenAlone() {
    if (toldSize === null && session.id !== null) {
        const info = await getSession(session.id).catch(() => null);
        if (info === null || info.viewers > 1) return;
    }
    tellSize(stage.size);
}

/** @param {import('./api.js').Size} size */
function tellSize(size) {
    if (toldSize?.width === size.width && toldSize.height === size.height) return;
    if (session.send('events', { type: 'resize', ...size })) toldSize = size;
}

function render() {
    const { state, end } = session;
    page.dataset.state = state;
    performance.mark(`scenecast-${state}`);
    notice.textContent = state === 'reconnecting' ? 'Connection lost. Trying again…' : state === 'connecting' ? `Starting ${scene}…` : '';
    ended.hidden = end === null;
    if (end === null) return;
    const { title, text, detail, again: label } = explain(end);
    ended.dataset.code = end.code;
    element('ended-title', HTMLElement).textContent = title;
    element('ended-text', HTMLElement).textContent = text;
    element('ended-detail', HTMLElement).textContent = detail;
    again.hidden = label === null;
    again.textContent = label;
    (label === null ? element('ended-back', HTMLAnchorElement) : again).focus();
}

function toggleFigures() {
    const isShown = figures.hidden !== false;
    figures.hidden = !isShown;
    figuresButton.setAttribute('aria-pressed', String(isShown));
    meter.turn(isShown);
}

meter.onFigures = (values) => show(figures, values);
stage.onResize = tellSize;
figuresButton.addEventListener('click', toggleFigures);
addEventListener(
    'keydown',
    (event) => {
        if (event.code !== FIGURES_KEY) return;
        event.preventDefault();
        // The page's own key is not the scene's too.
        event.stopPropagation();
        if (!event.repeat) toggleFigures();
    },
    { capture: true },
);
again.addEventListener('click', () => {
    void session.startAgain(stage.size);
    stage.focus();
});
const toolbar = element('toolbar', HTMLElement);
// After a click with a pointer the keys are the scene's again; who came by keyboard stays on the button.
toolbar.addEventListener('click', (event) => {
    if (event.detail > 0) stage.focus();
});
hideWhenIdle(page, toolbar);
offerFullscreen(page, element('fullscreen-button', HTMLButtonElement));
addEventListener('pagehide', () => session.leave());
// Out of the back-forward cache the page comes as it was left, without its connection.
addEventListener('pageshow', (event) => {
    if (event.persisted) location.reload();
});

render();
stage.focus();
void session.start(stage.size);

/** For tests: what the overlay shows, and what the page holds. */
export const viewer = { session, meter, input };
