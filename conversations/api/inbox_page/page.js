// The page: the list of conversations beside the messages of one, both kept fresh.
// What others wrote is only ever set as text, in elements that keep its direction to themselves.

import { Feed, Problem, ask } from "./feed.js";

const POLL_MS = 3_000;
const NEAR_PX = 800; // So near to the end of what has been read, the page reads on.
const AT_NEWEST_PX = 32;
const find = (selector) => document.querySelector(selector);
const filters = find("#filters");
const numbers = filters.elements.phone_number_id.options;
let areNumbersKnown = false;
let openId = null;
let timer;
const printer = (options) => new Intl.DateTimeFormat(undefined, options).format;
const printTime = printer({ timeStyle: "short" });
const printDate = printer({ dateStyle: "medium" });
const printLongDate = printer({ dateStyle: "full" });
const printInstant = printer({ dateStyle: "full", timeStyle: "long" });
const dayOf = (instant) => new Date(instant).toDateString();
const counted = (count, noun) => `${count.toLocaleString()} ${noun}${count === 1 ? "" : "s"}`;

/** Return an element with these properties and children. A string becomes text. */
function make(tag, properties, ...children) {
  const node = Object.assign(document.createElement(tag), properties);
  node.append(...children);
  return node;
}
const span = (className, text, title = "") => make("span", { className, title }, text);

/** Return an instant in the reader's time zone: the date, or on the same day the time. */
function timeOf(instant, day) {
  const date = new Date(instant);
  const text = dayOf(instant) === day ? printTime(date) : printDate(date);
  return make("time", { dateTime: instant, title: printInstant(date) }, text);
}

function consentBadge(consent) {
  if (!consent) return span("badge", "no consent", "Neither opt-in nor opt-out is on record");
  const at = consent.opted_in_at;
  const title = at ? `Latest opt-in: ${printInstant(new Date(at))}` : "Never opted in";
  const word = consent.opted_in ? "in" : "out";
  return span(`badge ${word}`, `opted ${word}`, title);
}

function previewOf({ last_message_preview: preview, last_message_body_redacted_at: redactedAt }) {
  if (redactedAt || preview === "[media]") return span("note", preview);
  return preview ? make("bdi", {}, preview) : span("note", "[no text]");
}

function conversationItem(row) {
  const isInbound = row.last_message_direction === "inbound";
  const word = { role: "img", ariaLabel: isInbound ? "Received" : "Sent", className: "arrow" };
  const arrow = make("span", word, isInbound ? "←" : "→");
  const facts = `${row.phone_number} · ${counted(row.message_count, "message")}`;
  return make("li", { id: row.id }, make("a", { href: `#conversation=${row.id}` },
    span("contact", row.contact_number), " ", timeOf(row.last_message_at, row.today),
    make("span", { className: "preview" }, arrow, " ", previewOf(row)),
    span("facts", facts), " ", consentBadge(row.consent)));
}

/** Return a link to an attachment. What is not an address of the web stays a text. */
function mediaLink(href) {
  if (!/^https?:\/\//i.test(href)) return span("note", href);
  const link = make("a", { href, target: "_blank", rel: "noopener noreferrer" });
  link.append(link.href); // As the browser writes it: percent-encoded, so that it cannot mislead.
  return link;
}

function messageItem({ body, direction, media_urls, created_at: at, redacted_at: redactedAt }) {
  const item = make("li", { className: `message ${direction}` }, ...media_urls.map(mediaLink));
  if (body) item.prepend(make("p", { dir: "auto" }, body));
  if (redactedAt) item.append(span("note", `[redacted] on ${printDate(new Date(redactedAt))}`));
  else if (!item.firstChild) item.append(span("note", body === null ? "[media]" : "[no text]"));
  const word = direction === "inbound" ? "Received " : "Sent ";
  item.append(make("footer", {}, span("unseen", word), timeOf(at, dayOf(at))));
  return item;
}

const dayItem = (day) => make("li", { className: "day quiet" }, printLongDate(new Date(day)));
/** Return what a thread shows with what makes items of it: days, and their messages. */
const messageItems = (rows) => new Map(rows.toReversed().flatMap((message) => [
  [dayOf(message.created_at), dayItem], [message, messageItem],
]));

/** Return the same of the list, where a row of today shows its time. */
const conversationItems = (rows) => new Map(rows.map((row) => [
  { ...row, today: dayOf(Date.now()) }, conversationItem,
]));

/** A feed on the screen. What the reader looks at keeps its place while items come and go. */
class Pane {
  feed = null;
  #drawn = new Map();
  #newest = null;

  constructor(name, itemsOf, afterDrawing) {
    const [scroller, ol, end, pill] = [".scroller", "ol", ".end", ".pill"]
      .map((part) => find(`${name} ${part}`));
    Object.assign(this, { itemsOf, afterDrawing, scroller, ol, end, pill });
    pill.addEventListener("click", () => { scroller.scrollTop = 0; });
    scroller.addEventListener("scroll", () => {
      pill.hidden ||= this.#pxFromNewest < AT_NEWEST_PX;
      attempt(() => this.fill());
    });
  }

  /** Show another feed, or null for none. */
  show(feed) {
    this.feed = feed;
    this.#newest = null;
    this.#put(new Map());
    this.pill.hidden = true;
    this.end.textContent = "";
  }

  /** Read the feed's page at the cursor, or without one all again, and show what has changed. */
  async read(cursor) {
    const { feed } = this;
    if (await feed?.read(cursor) && feed === this.feed) this.#draw(feed);
  }

  /** Read on while the end of what has been read is near. */
  async fill() {
    const pxInAll = () => this.scroller.scrollHeight - this.scroller.clientHeight;
    while (this.feed?.cursor && pxInAll() - this.#pxFromNewest < NEAR_PX) {
      await this.read(this.feed.cursor);
    }
  }

  /** A scroller begins at the newest: the list's at its top, the thread's at its bottom. */
  get #pxFromNewest() { return Math.abs(this.scroller.scrollTop); }

  #draw({ rows, cursor }) {
    const { ol, scroller } = this;
    const newest = rows.length && rows[0].id + rows[0].last_message_at;
    const isNew = this.#newest !== null && newest !== this.#newest;
    const isAtNewest = this.#newest === null || this.#pxFromNewest < AT_NEWEST_PX;
    const focused = ol.contains(document.activeElement) && document.activeElement.parentNode.id;
    const topOf = (node) => node.getBoundingClientRect().top;
    const visible = [...ol.children].map((node) => [node, topOf(node)])
      .filter(([, top]) => top >= topOf(scroller));
    this.#newest = newest;
    this.#put(this.itemsOf(rows));
    this.end.textContent = cursor ? "Loading…" : rows.length ? "" : "No conversations.";
    // An item that has changed is another node, so the first that is still there has its place.
    const [anchor, top] = visible.find(([node]) => node.isConnected) ?? [];
    if (isAtNewest) scroller.scrollTop = 0;
    else if (anchor) scroller.scrollTop += topOf(anchor) - top;
    if (focused) document.getElementById(focused)?.firstChild.focus({ preventScroll: true });
    this.pill.hidden &&= !isNew || isAtNewest;
    this.afterDrawing(this.feed, isNew);
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

const thread = new Pane("#thread", messageItems, () => attempt(describeOpen));
const list = new Pane("#list", conversationItems, ({ rows, total }, isNew) => {
  find("#total").textContent = counted(total, "conversation");
  if (isNew && rows.length) find("#news").textContent = `New: ${rows[0].contact_number}`;
  for (const row of rows) offerNumber(row.phone_number_id, row.phone_number);
  attempt(describeOpen);
});

function offerNumber(id, number) {
  if ([...numbers].every(({ value }) => value !== id)) numbers.add(new Option(number, id));
}

/** Offer all numbers. A key that may not list them has those of the conversations it has seen. */
async function readNumbers() {
  const feed = new Feed("v1/phone-numbers");
  const accept = (problem) => { if (![403, 404].includes(problem.status)) throw problem; };
  do await feed.read(feed.cursor).catch(accept); while (feed.cursor);
  for (const row of feed.rows) offerNumber(row.id, row.phone_number);
  areNumbersKnown = true;
}

function applyFilters() {
  const given = Object.fromEntries(new FormData(filters));
  const contact = given.contact_number.trim();
  // Of a number as people write it, such as +1 (555) 444-3333, only the digits count.
  const isNumber = /^\+?[\d ().-]+$/.test(contact);
  given.contact_number = isNumber ? contact.replace(/[ ().-]/g, "") : contact;
  list.show(new Feed("v1/conversations", given));
  tick();
}

/** Open the conversation that the address names, or close the open one. */
function route(event) {
  if (/\bkey=/.test(location.hash)) return location.reload(); // It is taken as at the start.
  const id = new URLSearchParams(location.hash.slice(1)).get("conversation");
  const before = document.getElementById(openId);
  openId = /^[\w-]{22}$/.test(id) ? id : null;
  document.body.dataset.pane = openId ? "thread" : "list";
  find("#about").replaceChildren();
  thread.show(openId && new Feed(`v1/conversations/${openId}/messages`, { order: "desc" }));
  attempt(describeOpen);
  tick();
  if (event) (openId ? thread.scroller : before?.firstChild)?.focus({ preventScroll: true });
}

/** Mark the open conversation in the list, and say above its messages whose they are. */
async function describeOpen() {
  const id = openId;
  for (const item of list.ol.children) item.firstChild.ariaCurrent = item.id === id || null;
  let row = list.feed.rows.find((each) => each.id === id);
  const message = thread.feed?.rows[0];
  if (!row && message) {
    const contact = message[message.direction === "inbound" ? "from_number" : "to_number"];
    const { phone_number_id } = message;
    [row] = (await ask("v1/conversations", { phone_number_id, contact_number: contact })).data;
  }
  if (!row || id !== openId) return;
  const facts = `with ${row.phone_number} · ${counted(row.message_count, "message")}`;
  find("#about").replaceChildren(
    make("h2", {}, row.contact_number), span("facts", facts), consentBadge(row.consent));
}

/** Do something that asks the service, and say what went wrong, if anything. */
async function attempt(job) {
  try {
    await job();
  } catch (problem) {
    if (!(problem instanceof Problem)) throw problem;
    const banner = find("#banner"); // A screen reader would read the same sentence again.
    if (banner.textContent !== problem.message) banner.textContent = problem.message;
    if (problem.status === 401 || problem.status === 403) document.body.dataset.view = "key";
  }
}

/** Show what is new, now and then every few seconds while the page is visible. */
async function tick() {
  clearTimeout(timer);
  if (document.hidden || !sessionStorage.apiKey) return;
  await attempt(async () => {
    await Promise.all([list, thread].map((pane) => pane.read().then(() => pane.fill())));
    if (!areNumbersKnown) await readNumbers();
    find("#banner").textContent = "";
    document.body.dataset.view = "inbox";
  });
  clearTimeout(timer);
  timer = setTimeout(tick, POLL_MS);
}

/** Escape closes the conversation, the arrows go from one to the next, and Enter opens a link. */
function onKeyDown({ key, target }) {
  if (target.closest("input, select")) return;
  if (key === "Escape") location.hash = "";
  const step = { ArrowDown: 1, ArrowUp: -1 }[key];
  if (!step || target.closest("#thread")) return;
  const links = [...list.ol.querySelectorAll("a")];
  links[Math.max(links.indexOf(document.activeElement) + step, 0)]?.focus();
}

const fragment = new URLSearchParams(location.hash.slice(1));
if (fragment.has("key")) { // Read once and removed, so that nobody else sees the key.
  sessionStorage.apiKey = fragment.get("key");
  fragment.delete("key");
  history.replaceState(null, "", `${location.pathname}${location.search}#${fragment}`);
}
document.body.dataset.view = sessionStorage.apiKey ? "inbox" : "key";
const restart = (key) => { sessionStorage.apiKey = key.trim(); location.reload(); };
find("#key-form").addEventListener("submit", () => restart(find("#key").value));
find("#forget").addEventListener("click", () => restart(""));
for (const type of ["change", "search"]) filters.addEventListener(type, applyFilters);
addEventListener("submit", (event) => event.preventDefault());
addEventListener("hashchange", route);
addEventListener("keydown", onKeyDown);
document.addEventListener("visibilitychange", tick);
applyFilters();
route();
