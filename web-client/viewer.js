// @ts-check
/**
 * The viewer page: brings session, stage, meter, log and the page's elements together. What each does stands in its own module.
 */
import { createSession, getLog, getScene, getSession, isAtLeast, whoAmI } from './api.js';
import { dropGrant, hasGrant, hasToken, takeGrant } from './credentials.js';
import { waitText } from './formats.js';
import { InputState } from './input.js';
import { LogPanel } from './log.js';
import { Meter } from './meter.js';
import { show } from './overlay.js';
import { element } from './page.js';
import { explain } from './reasons.js';
import { ViewerSession } from './session.js';
import { offerSharing } from './share.js';
import { listenToSignIn } from './sign-in.js';
import { Stage } from './stage.js';
import { hideWhenIdle, offerFullscreen } from './toolbar.js';
import { Connection } from './whep.js';

const FIGURES_KEY = 'F2';
const PROTOCOL_VERSION = 1;
const SECOND_MS = 1_000;
/** The address of an uploaded scene is the hash of its bytes; the server knows what it is called. */
const UPLOADED = /^[0-9a-f]{64}$/;

/**
 * @param {string} pathname  `/view/{scene}` or `/view/{scene}/{session}`
 * @returns {{ scene: string, id: string | null }}
 */
function parsePath(pathname) {
    const [, , scene = '', id = ''] = pathname.split('/').map(decodeURIComponent);
    return { scene, id: id === '' ? null : id };
}

const page = document.body;
const video = element('video', HTMLVideoElement);
const notice = element('notice', HTMLElement);
const warning = element('warning', HTMLElement);
const ended = element('ended', HTMLElement);
const again = element('again', HTMLButtonElement);
const figures = element('figures', HTMLElement);
const figuresButton = element('figures-button', HTMLButtonElement);
const logButton = element('log-button', HTMLButtonElement);
const signIn = element('sign-in-form', HTMLFormElement);

const { scene, id } = parsePath(location.pathname);
// The right stays with the tab; an address that is copied from the bar shall not give it away.
if (takeGrant(location.hash, id)) history.replaceState(null, '', location.pathname + location.search);

/** What the scene is called, as far as we know. */
let sceneName = scene;
/** Whether what the viewer does reaches the scene; the server says so when a connection opens. */
let mayControl = false;
/** The size that the server was last told. @type {import('./api.js').Size | null} */
let toldSize = null;
/** Until when we wait because the server asked for it. @type {{ why: import('./api.js').EndReason, untilMs: number } | null} */
let wait = null;
/** @type {ReturnType<typeof setInterval> | undefined} */
let countdown;

const meter = new Meter(video);
const input = new InputState((lane, message, atMs) => {
    if (mayControl && session.send(lane, message)) meter.acted(message.seq, atMs);
});
const stage = new Stage(element('stage', HTMLElement), video, input);

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
        onWait: (why, ms) => {
            wait = { why, untilMs: performance.now() + ms };
            render();
        },
        onCreated: (created) => {
            history.replaceState(null, '', `/view/${encodeURIComponent(scene)}/${encodeURIComponent(created)}`);
            log.begin();
        },
        onStream: (stream) => {
            video.srcObject = stream;
            awaitPicture(stream);
        },
        onOpen: (link) => {
            link.send('events', { type: 'hello', version: PROTOCOL_VERSION });
            meter.attach(link);
        },
        onMessage: (message) => {
            if (message.type === 'welcome') beWelcome(message.control !== false);
            else if (message.type === 'draining') warnOfDrain(message.seconds);
            else meter.receive(message);
        },
        onClosed: () => {
            meter.attach(null);
            mayControl = false;
            input.startOver(false, performance.now());
        },
    },
);

const log = new LogPanel(
    {
        panel: element('log', HTMLElement),
        list: element('log-lines', HTMLElement),
        note: element('log-note', HTMLElement),
        copy: element('log-copy', HTMLButtonElement),
    },
    async () => (session.id === null ? null : getLog(session.id)),
);
const sharing = offerSharing(() => session.id);
element('stage', HTMLElement).addEventListener('pointerdown', () => sharing.close());

/** @param {boolean} controls */
function beWelcome(controls) {
    mayControl = controls;
    element('watching', HTMLElement).hidden = controls;
    element('stage', HTMLElement).ariaLabel = controls
        ? 'The scene. Keys, pointer and wheel go to it; Tab leads to the buttons.'
        : 'The scene. You are watching; somebody else steers it.';
    if (!controls) return;
    input.startOver(stage.isFocused, performance.now());
    void fitWhenAlone();
}

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
    if (!mayControl || (toldSize?.width === size.width && toldSize.height === size.height)) return;
    if (session.send('events', { type: 'resize', ...size })) toldSize = size;
}

function render() {
    const { state, end } = session;
    page.dataset.state = state;
    performance.mark(`scenecast-${state}`);
    if (state === 'live' || state === 'ended') wait = null;
    if (state !== 'live') warning.hidden = true;
    renderNotice();
    ended.hidden = end === null;
    if (end !== null) renderEnd(end);
}

function renderNotice() {
    clearInterval(countdown);
    const { state } = session;
    const tell = () => {
        const leftMs = wait === null ? 0 : wait.untilMs - performance.now();
        // The attempt itself takes a moment.
        if (wait === null || leftMs <= 0) wait = null;
        if (wait !== null) notice.textContent = `${explain(wait.why).title}. Trying again in ${waitText(leftMs)}…`;
        else if (state === 'reconnecting') notice.textContent = 'Connection lost. Trying again…';
        else notice.textContent = state === 'connecting' ? `Starting ${sceneName}…` : '';
        if (wait === null) clearInterval(countdown);
    };
    if (wait !== null) countdown = setInterval(tell, SECOND_MS);
    tell();
}

/** @param {import('./api.js').EndReason} end */
function renderEnd(end) {
    const access = hasGrant() ? 'grant' : hasToken() ? 'token' : 'open';
    const { title, text, detail, again: label, isLogTelling } = explain(end, access);
    // A right to one session is none to start another.
    const mayStart = label !== null && (access !== 'grant' || session.isRejoinable);
    ended.dataset.code = end.code;
    element('ended-title', HTMLElement).textContent = title;
    element('ended-text', HTMLElement).textContent = text;
    element('ended-detail', HTMLElement).textContent = detail;
    signIn.hidden = end.code !== 'unauthorized' || access === 'grant';
    again.hidden = !mayStart;
    again.textContent = label;
    sharing.close();
    void log.end(isLogTelling && session.id !== null).then(renderLog);
    if (!signIn.hidden) element('token', HTMLInputElement).focus();
    else if (mayStart) again.focus();
    else element('ended-title', HTMLElement).focus();
}

function renderLog() {
    logButton.setAttribute('aria-pressed', String(log.isOpen));
    page.dataset.log = log.isOpen ? 'open' : 'closed';
}

/** @param {unknown} seconds  how long the session goes on at most */
function warnOfDrain(seconds) {
    const when = typeof seconds === 'number' && seconds > 0 ? `in ${waitText(seconds * 1_000)} at the latest` : 'soon';
    warning.textContent = `The server is shutting down. This session ends ${when}.`;
    warning.hidden = false;
}

function toggleFigures() {
    const isShown = figures.hidden !== false;
    figures.hidden = !isShown;
    figuresButton.setAttribute('aria-pressed', String(isShown));
    meter.turn(isShown);
}

function startAgain() {
    ended.hidden = true;
    void session.startAgain(stage.size);
    log.begin();
    renderLog();
    stage.focus();
}

/** @param {string} name */
function showName(name) {
    sceneName = name;
    document.title = `${name} · Scenecast`;
    element('scene', HTMLElement).textContent = name;
    renderNotice();
}

meter.onFigures = (values) => show(figures, values);
stage.onResize = tellSize;
figuresButton.addEventListener('click', toggleFigures);
logButton.addEventListener('click', () => {
    log.show(!log.isOpen);
    renderLog();
});
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
again.addEventListener('click', startAgain);
listenToSignIn((identity) => {
    dropGrant();
    showSharing(identity);
    startAgain();
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

/** Where nobody asks who one is, the address is the link. @param {import('./api.js').Identity} identity */
function showSharing({ authentication, role }) {
    element('share-button', HTMLElement).hidden = authentication === 'open' || hasGrant() || !isAtLeast(role, 'controller');
}

if (UPLOADED.test(scene)) {
    showName(`Scene ${scene.slice(0, 8)}`);
    // Who may not browse does not learn it.
    getScene(scene).then(({ name }) => showName(name), () => {});
} else {
    showName(scene);
}
render();
stage.focus();
// Who has a link and no token has no gallery to go back to.
for (const back of ['back', 'ended-back']) element(back, HTMLElement).hidden = hasGrant() && !hasToken();
void session.start(stage.size);
// Only who has a token can give something of it away; what it is not good for is said by what is refused.
if (hasToken() && !hasGrant()) whoAmI().then(showSharing, () => {});

/** For tests: what the overlay shows, and what the page holds. */
export const viewer = { session, meter, input };
