// Parts of the Settings that are loaded by htmx: the live list of deliveries, and test events. Each works without it.
"use strict";

const part = () => document.querySelector("[data-live-part]");
const show = (name, shown) => {
    const note = document.querySelector(`[data-${name}]`);
    if (note && note.hidden === shown) note.hidden = !shown;
};
const picked = () => document.querySelectorAll('.log input[name="delivery"]:checked');

// ── Live: nothing is asked for while nobody looks, nor while rows are selected (they would move away) ─────────
document.addEventListener("htmx:beforeRequest", (event) => {
    if (event.target === part() && (document.hidden || picked().length)) event.preventDefault();
});
document.addEventListener("visibilitychange", () => {
    if (!document.hidden && part()) htmx.trigger(part(), "refresh");
});

// An answer from another address than was asked: a login page, or the tab of what is no more. It goes nowhere.
document.addEventListener("htmx:beforeSwap", (event) => {
    const { xhr, pathInfo } = event.detail;
    if (new URL(xhr.responseURL).pathname === new URL(pathInfo.finalRequestPath, location.href).pathname) return;
    event.detail.shouldSwap = false;
    show("outdated", true);
    const live = part();
    live?.removeAttribute("hx-trigger");
    if (live) htmx.process(live);
});
for (const lost of ["htmx:sendError", "htmx:responseError", "htmx:timeout"]) {
    document.addEventListener(lost, () => show("offline", true));
}
document.addEventListener("htmx:afterOnLoad", () => show("offline", false));

// Leaving the page ends what is under way, which is no fault that anybody should read of.
const underWay = new Set();
document.addEventListener("htmx:beforeSend", (event) => underWay.add(event.detail.xhr));
document.addEventListener("htmx:afterRequest", (event) => underWay.delete(event.detail.xhr));
addEventListener("pagehide", () => {
    for (const xhr of underWay) xhr.onabort = xhr.onerror = xhr.ontimeout = null;
});

// ── The focus stays where it was when the list is replaced ────────────────────────────────────────────────────
let focused = "";
document.addEventListener("htmx:beforeSwap", (event) => {
    focused = event.detail.target?.contains(document.activeElement) ? document.activeElement.id : "";
});
document.addEventListener("htmx:afterSettle", (event) => {
    if (focused) document.getElementById(focused)?.focus();
    if (event.detail.requestConfig?.elt?.matches("form.filters")) announce(part()?.dataset.said ?? "");
    if (event.detail.requestConfig?.elt?.matches("form.test")) document.querySelector(".exchange[autofocus]")?.focus();
    prepare();
});

// ── A form that loads a part says that it works, and is sent once ─────────────────────────────────────────────
document.addEventListener("htmx:beforeRequest", (event) => {
    const button = event.target.matches?.("form[hx-post]") && event.target.querySelector("button[data-busy]");
    if (!button) return;
    button.dataset.label = button.textContent;
    button.textContent = button.dataset.busy;
    button.setAttribute("aria-disabled", "true");
    announce(button.dataset.busy);
});
document.addEventListener("htmx:afterRequest", (event) => {
    const button = event.target.matches?.("form[hx-post]") && event.target.querySelector("button[data-label]");
    if (!button) return;
    button.textContent = button.dataset.label;
    button.removeAttribute("aria-disabled");
});

// ── Select all, and how many are ──────────────────────────────────────────────────────────────────────────────
function prepare() {
    const all = document.querySelector("[data-select-all]");
    if (all) all.hidden = false;
    tell();
}
function tell() {
    const count = document.querySelector("[data-selected-count]");
    if (!count) return;
    const number = picked().length;
    count.hidden = number === 0;
    count.textContent = `${number} ${count.dataset.words}`;
    const boxes = document.querySelectorAll('.log input[name="delivery"]:not(:disabled)');
    const all = document.querySelector("[data-select-all]");
    all.checked = number > 0 && number === boxes.length;
    all.indeterminate = number > 0 && number < boxes.length;
}
document.addEventListener("change", (event) => {
    if (event.target.matches("[data-select-all]")) {
        for (const box of document.querySelectorAll('.log input[name="delivery"]:not(:disabled)')) box.checked = event.target.checked;
    }
    if (event.target.closest(".log")) tell();
});
prepare();
