// @ts-check
/** Files that are dropped anywhere on the page. Knows drags, not what becomes of the files. */

/**
 * Marks `page` with the class `dropping` while files are held over it.
 *
 * @param {HTMLElement} page
 * @param {() => boolean} isWelcome
 * @param {(files: FileList) => void} onFiles
 */
export function acceptDrops(page, isWelcome, onFiles) {
    const hasFiles = (/** @type {DragEvent} */ event) => event.dataTransfer?.types.includes('Files') ?? false;
    page.addEventListener('dragover', (event) => {
        if (!hasFiles(event)) return;
        // Refused or taken, but never opened by the browser in place of this page.
        event.preventDefault();
        if (event.dataTransfer !== null) event.dataTransfer.dropEffect = isWelcome() ? 'copy' : 'none';
        page.classList.toggle('dropping', isWelcome());
    });
    page.addEventListener('dragleave', (event) => {
        // From one element to the next is not out of the window.
        if (event.relatedTarget === null) page.classList.remove('dropping');
    });
    page.addEventListener('drop', (event) => {
        page.classList.remove('dropping');
        if (!hasFiles(event)) return;
        event.preventDefault();
        if (isWelcome() && event.dataTransfer !== null) onFiles(event.dataTransfer.files);
    });
}
