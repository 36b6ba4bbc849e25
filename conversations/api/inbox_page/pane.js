// A list on the screen that grows at its end and changes at its beginning.

import { make } from "./items.js";

const NEAR_PX = 800; // So near to the end of what has been read, the page reads on.
const AT_NEWEST_PX = 32;

/** A feed on the screen. What the reader looks at keeps its place while items come and go. */
export class Pane {
  feed = null;
  isWanted = null; // Of a filter over what is loaded: which rows it keeps.
  #drawn = new Map();
  #newest = null;

  /** `itemsOf` maps what to show to what makes an item of it; `attempt` reports what fails. */
  constructor(name, { itemsOf, afterDrawing, attempt }) {
    const [scroller, ol, end, pill] = [".scroller", "ol", ".end", ".pill"]
      .map((part) => document.querySelector(`${name} ${part}`));
    Object.assign(this, { itemsOf, afterDrawing, attempt, scroller, ol, end, pill });
    pill.addEventListener("click", () => { scroller.scrollTop = 0; });
    scroller.addEventListener("scroll", () => {
      pill.hidden ||= this.#pxFromNewest < AT_NEWEST_PX;
      attempt(() => this.fill());
    });
  }

  /** Show another feed, or null for none; of its rows, while a filter is given, those it keeps. */
  show(feed, isWanted = null) {
    Object.assign(this, { feed, isWanted });
    this.#newest = null;
    this.#put(new Map());
    this.pill.hidden = true;
    this.end.textContent = "";
    if (feed?.isRead) this.draw();
  }

  /** Read the feed's page at the cursor, or without one all again, and show what has changed. */
  async read(cursor) {
    const { feed } = this;
    if (await feed?.read(cursor) && feed === this.feed) this.draw();
  }

  /** Read on while the end of what has been read is near. */
  async fill() {
    const pxInAll = () => this.scroller.scrollHeight - this.scroller.clientHeight;
    while (!this.isWanted && this.feed?.cursor && pxInAll() - this.#pxFromNewest < NEAR_PX) {
      await this.read(this.feed.cursor);
    }
  }

  /** The rows on the screen, newest first. */
  get rows() { return this.feed.rows.filter(this.isWanted ?? (() => true)); }

  /** A scroller begins at the newest: the list's at its top, the thread's at its bottom. */
  get #pxFromNewest() { return Math.abs(this.scroller.scrollTop); }

  /** Show the rows as they are now. */
  draw() {
    const { ol, scroller, feed: { rows, cursor } } = this;
    const [first] = rows;
    const newest = first && [first.id, first.last_message_at ?? first.updated_at].join();
    const isNew = this.#newest !== null && newest !== this.#newest;
    const isAtNewest = this.#newest === null || this.#pxFromNewest < AT_NEWEST_PX;
    const focused = ol.contains(document.activeElement)
      && document.activeElement.closest("li").id;
    const topOf = (node) => node.getBoundingClientRect().top;
    const visible = [...ol.children].map((node) => [node, topOf(node)])
      .filter(([, top]) => top >= topOf(scroller));
    this.#newest = newest;
    this.#put(this.itemsOf(this.rows));
    const more = { textContent: "Load more", onclick: () => this.attempt(() => this.read(cursor)) };
    const nothing = rows.length || this.isWanted ? "" : "No conversations.";
    this.end.replaceChildren(!cursor ? nothing : this.isWanted ? make("button", more) : "Loading…");
    // An item that has changed is another node, so the first that is still there has its place.
    const [anchor, top] = visible.find(([node]) => node.isConnected) ?? [];
    if (isAtNewest) scroller.scrollTop = 0;
    else if (anchor) scroller.scrollTop += topOf(anchor) - top;
    if (focused) document.getElementById(focused)?.firstChild.focus({ preventScroll: true });
    this.pill.hidden &&= !isNew || isAtNewest;
    this.afterDrawing();
  }

  /** Put the items into the list. What is there already and has not changed stays as it is. */
  #put(items) {
    const before = this.#drawn;
    this.#drawn = new Map([...items].map(([content, build]) => {
      const name = JSON.stringify(content);
      return [name, before.get(name) ?? build(content)];
    }));
    for (const [name, node] of before) if (!this.#drawn.has(name)) node.remove();
    let next = this.ol.firstChild;
    for (const node of this.#drawn.values()) {
      if (node === next) next = next.nextSibling;
      else this.ol.insertBefore(node, next);
    }
  }
}
