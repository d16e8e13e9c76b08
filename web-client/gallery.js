// @ts-check
/** The gallery page: brings scenes, uploads and who is here together with the page's elements. What each does stands in its own module. */
import { Problem, deleteScene, getScene, isAtLeast, listScenes, listSessions, whoAmI } from './api.js';
import { card } from './cards.js';
import { forgetToken } from './credentials.js';
import { acceptDrops } from './drop.js';
import { waitText } from './formats.js';
import { element } from './page.js';
import { listenToSignIn } from './sign-in.js';
import { sendScene } from './transfer.js';
import { UploadView } from './upload-view.js';
import { UploadQueue } from './upload.js';

/**
 * @typedef {import('./api.js').Scene} Scene
 * @typedef {import('./upload.js').Upload} Upload
 */

/** Pictures of scenes are drawn after they were first listed, one after the other: the pauses before each look for new ones. */
const PICTURE_PAUSES_MS = [2_000, 4_000, 8_000, 16_000, 32_000];

const gallery = element('gallery', HTMLElement);
const scenes = element('scenes', HTMLElement);
const uploads = element('uploads', HTMLElement);
const picker = element('files', HTMLInputElement);
const dialog = element('delete', HTMLDialogElement);

/** Who the server takes us for; null until it said so. @type {import('./api.js').Identity | null} */
let identity = null;
/** A session of each scene that runs, for those who may only watch. @type {Map<string, string>} */
let running = new Map();
/** What stands on the page, by everything that it shows. @type {Map<string, HTMLElement>} */
let cards = new Map();
/** Counts loads: an earlier one that ends later is void. */
let loads = 0;
/** @type {ReturnType<typeof setTimeout> | undefined} */
let retryTimer;
/** @type {ReturnType<typeof setTimeout> | undefined} */
let pictureTimer;

/** @type {Map<Upload, UploadView>} */
const views = new Map();
const queue = new UploadQueue(
    { send: sendScene, getScene, wait: (ms) => new Promise((resolve) => setTimeout(resolve, ms)), nowMs: () => Date.now() },
    (upload) => {
        const view = views.get(upload) ?? place(upload);
        const words = view.render();
        if (words !== '') element('announcer', HTMLElement).textContent = words;
        const { state } = upload;
        if (state.stage === 'gone') views.delete(upload);
        if (state.stage === 'failed' && state.problem.status === 401) void load();
        if (state.stage === 'done') void load();
    },
);

/** @param {Upload} upload */
function place(upload) {
    const view = new UploadView(upload, { remove: (gone) => queue.remove(gone), retry: (failed) => queue.retry(failed) });
    views.set(upload, view);
    uploads.append(view.item);
    return view;
}

const mayUpload = () => identity !== null && isAtLeast(identity.role, 'author');
const mayStart = () => identity !== null && isAtLeast(identity.role, 'controller');

const links = {
    /** @param {Scene} scene */
    watch: (scene) => (mayStart() ? scene.view : running.get(scene.id) ?? null),
    remove: askToDelete,
};

async function load() {
    const turn = ++loads;
    clearTimeout(retryTimer);
    gallery.ariaBusy = 'true';
    try {
        const who = await whoAmI();
        const [list, sessions] = await Promise.all([listScenes(), isAtLeast(who.role, 'controller') ? [] : listSessions()]);
        if (turn !== loads) return;
        identity = who;
        running = new Map(sessions.filter(({ state }) => state !== 'ended').map(({ scene, view }) => [scene, view]));
        showIdentity(who);
        showScenes(list);
        awaitPictures(list, turn, 0);
        element('failed', HTMLElement).hidden = true;
    } catch (error) {
        if (turn !== loads) return;
        showProblem(error);
    }
    gallery.ariaBusy = 'false';
}

/**
 * Shows pictures that are new, for a while.
 *
 * @param {Scene[]} list
 * @param {number} turn
 * @param {number} looks
 */
function awaitPictures(list, turn, looks) {
    clearTimeout(pictureTimer);
    const pauseMs = PICTURE_PAUSES_MS[looks];
    if (pauseMs === undefined || list.every(({ thumbnail }) => thumbnail !== null)) return;
    pictureTimer = setTimeout(async () => {
        // Where there is no answer, the cards stay as they are.
        const latest = document.visibilityState === 'hidden' ? list : await listScenes().catch(() => list);
        if (turn !== loads) return;
        showScenes(latest);
        awaitPictures(latest, turn, looks + 1);
    }, pauseMs);
}

/** Cards that stay as they are keep their pictures, and the keyboard's focus. @param {Scene[]} list */
function showScenes(list) {
    const nowMs = Date.now();
    const before = cards;
    cards = new Map();
    let next = scenes.firstElementChild;
    for (const scene of list) {
        const key = JSON.stringify([scene, links.watch(scene)]);
        const item = before.get(key) ?? card(scene, links, nowMs);
        cards.set(key, item);
        if (item === next) next = item.nextElementSibling;
        else scenes.insertBefore(item, next);
    }
    for (const [key, item] of before) if (!cards.has(key)) item.remove();
    element('empty', HTMLElement).hidden = list.length > 0;
}

/** @param {import('./api.js').Identity} who */
function showIdentity(who) {
    const hasToken = who.authentication === 'token';
    element('account', HTMLElement).hidden = !hasToken;
    element('account-name', HTMLElement).textContent = who.name === who.role ? who.role : `${who.name} · ${who.role}`;
    element('sign-in', HTMLElement).hidden = true;
    element('add', HTMLElement).hidden = !mayUpload();
    element('watch-only', HTMLElement).hidden = mayStart();
    element('lead', HTMLElement).hidden = !mayStart();
    element('empty-add', HTMLElement).hidden = !mayUpload();
    element('empty-none', HTMLElement).hidden = mayUpload();
}

/** @param {unknown} error */
function showProblem(error) {
    const isStranger = error instanceof Problem && error.status === 401;
    element('sign-in', HTMLElement).hidden = !isStranger;
    element('failed', HTMLElement).hidden = isStranger;
    const message = error instanceof Error ? error.message : String(error);
    const retryMs = error instanceof Problem ? error.retryAfterMs : null;
    if (retryMs !== null) retryTimer = setTimeout(() => void load(), retryMs);
    element('failed-text', HTMLElement).textContent = retryMs === null ? message : `${message} The page tries again in ${waitText(retryMs)}.`;
    if (!isStranger) return;
    identity = null;
    for (const id of ['account', 'add', 'watch-only']) element(id, HTMLElement).hidden = true;
    element('lead', HTMLElement).hidden = false;
    showScenes([]);
    element('empty', HTMLElement).hidden = true;
    element('token', HTMLInputElement).focus();
}

/** @param {Scene} scene */
function askToDelete(scene) {
    element('delete-name', HTMLElement).textContent = scene.name;
    const wrong = element('delete-wrong', HTMLElement);
    wrong.textContent = '';
    const button = element('delete-button', HTMLButtonElement);
    button.disabled = false;
    button.onclick = async () => {
        button.disabled = true;
        try {
            await deleteScene(scene.id);
        } catch (error) {
            // What is gone already is what was wanted.
            if (!(error instanceof Problem && error.code === 'unknown_scene')) {
                wrong.textContent = error instanceof Error ? error.message : String(error);
                button.disabled = false;
                return;
            }
        }
        dialog.close();
        element('announcer', HTMLElement).textContent = `${scene.name} was deleted.`;
        void load();
    };
    dialog.showModal();
}

element('delete-keep', HTMLElement).addEventListener('click', () => dialog.close());
element('retry', HTMLElement).addEventListener('click', () => void load());
element('sign-out', HTMLElement).addEventListener('click', () => {
    forgetToken();
    void load();
});
listenToSignIn(() => void load());
picker.addEventListener('change', () => {
    queue.add(picker.files ?? []);
    // So that the same file can be chosen again.
    picker.value = '';
});
acceptDrops(document.documentElement, mayUpload, (files) => queue.add(files));
addEventListener('beforeunload', (event) => {
    if (queue.isBusy) event.preventDefault();
});
void load();
