// @ts-check
/**
 * Links to this session for others: one to watch, one to steer. Each carries a right of its own that the server made and can take
 * back. Knows the panel and the clipboard.
 */
import { Problem, createGrant, deleteGrant } from './api.js';
import { element } from './page.js';

/** How long a button says what it did. */
const SAID_MS = 2_000;

/** @typedef {{ session: string, id: string }} Link */

/** The links that this page has made and not taken back; the server bounds how many a session has. @type {Set<Link>} */
const links = new Set();

/**
 * @param {() => string | null} session  null when there is none
 */
export function offerSharing(session) {
    const button = element('share-button', HTMLButtonElement);
    const panel = element('share', HTMLElement);
    const close = () => {
        panel.hidden = true;
        button.setAttribute('aria-expanded', 'false');
    };
    button.addEventListener('click', () => {
        panel.hidden = !panel.hidden;
        button.setAttribute('aria-expanded', String(!panel.hidden));
        if (!panel.hidden) reset(panel);
    });
    panel.addEventListener('keydown', (event) => {
        if (event.key !== 'Escape') return;
        close();
        button.focus();
    });
    offerLink('share-watch', 'viewer', session);
    offerLink('share-control', 'controller', session);
    offerToTakeBack();
    return { close };
}

/** @param {HTMLElement} panel */
function reset(panel) {
    element('share-link', HTMLInputElement).hidden = true;
    element('share-note', HTMLElement).textContent = '';
    panel.querySelector('button')?.focus();
}

/**
 * @param {string} id  of the button
 * @param {import('./api.js').Role} role
 * @param {() => string | null} session
 */
function offerLink(id, role, session) {
    const button = element(id, HTMLButtonElement);
    const label = button.textContent;
    const note = element('share-note', HTMLElement);
    const field = element('share-link', HTMLInputElement);
    button.addEventListener('click', async () => {
        const which = session();
        if (which === null) return;
        note.textContent = '';
        field.hidden = true;
        button.disabled = true;
        try {
            const grant = await createGrant(which, role);
            links.add({ session: which, id: grant.id });
            element('share-revoke', HTMLElement).hidden = false;
            const link = new URL(grant.view, location.href).href;
            if (await copied(link)) {
                button.textContent = 'Copied';
                setTimeout(() => { button.textContent = label; }, SAID_MS);
            } else {
                field.value = link;
                field.hidden = false;
                field.select();
            }
            note.textContent = `It can be opened ${untilText(grant.expires_at)}.`;
        } catch (error) {
            note.textContent = error instanceof Error ? error.message : String(error);
        } finally {
            button.disabled = false;
        }
    });
}

function offerToTakeBack() {
    const button = element('share-revoke', HTMLButtonElement);
    const note = element('share-note', HTMLElement);
    button.addEventListener('click', async () => {
        note.textContent = '';
        button.disabled = true;
        try {
            for (const link of [...links]) {
                await takeBack(link);
                links.delete(link);
            }
            element('share-link', HTMLInputElement).hidden = true;
            note.textContent = 'They open nothing any more.';
        } catch (error) {
            note.textContent = error instanceof Error ? error.message : String(error);
        } finally {
            button.disabled = false;
            // The one with the focus goes away.
            if (links.size === 0) element('share-watch', HTMLElement).focus();
            button.hidden = links.size === 0;
        }
    });
}

/** @param {Link} link */
async function takeBack({ session, id }) {
    try {
        await deleteGrant(session, id);
    } catch (error) {
        // What has run out, or is of a session that is over, holds no more.
        if (!(error instanceof Problem && (error.status === 404 || error.status === 410))) throw error;
    }
}

/**
 * Only pages of secure origins may write to the clipboard.
 *
 * @param {string} text
 */
async function copied(text) {
    try {
        await navigator.clipboard.writeText(text);
        return true;
    } catch {
        return false;
    }
}

/** @param {string} at  RFC 3339 */
function untilText(at) {
    const date = new Date(at);
    if (Number.isNaN(date.getTime())) return 'for a while';
    const isToday = date.toDateString() === new Date().toDateString();
    return `until ${isToday ? date.toLocaleTimeString([], { hour: '2-digit', minute: '2-digit' }) : date.toLocaleString([], { dateStyle: 'medium', timeStyle: 'short' })}`;
}
