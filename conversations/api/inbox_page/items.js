// What the page shows of a row: an item of the list, a message, a day.
// What others wrote is only ever set as text, in elements that keep its direction to themselves.

const printer = (options) => new Intl.DateTimeFormat(undefined, options).format;
const printTime = printer({ timeStyle: "short" });
const printDate = printer({ dateStyle: "medium" });
const printLongDate = printer({ dateStyle: "full" });
const printLong = printer({ dateStyle: "full", timeStyle: "long" });
const URL_IN_TEXT = /https?:\/\/[^\s<>"]+/gi;
const TWILIO = "Twilio may ask for a password here: your Account SID and Auth Token";
export const TIME_ZONE = Intl.DateTimeFormat().resolvedOptions().timeZone;
export const printInstant = (instant) => printLong(new Date(instant));
export const dayOf = (instant) => new Date(instant).toDateString();
export const counted = (count, noun) => (
  `${count.toLocaleString()} ${noun}${count === 1 ? "" : "s"}`);

/** Return an element with these properties and children. A string becomes text. */
export function make(tag, properties, ...children) {
  const node = Object.assign(document.createElement(tag), properties);
  node.append(...children);
  return node;
}
export const span = (className, text, title = "") => make("span", { className, title }, text);

/** Return an instant in the reader's time zone: the date, or on the same day the time. */
function timeOf(instant, day) {
  const date = new Date(instant);
  const text = dayOf(instant) === day ? printTime(date) : printDate(date);
  return make("time", { dateTime: instant, title: printInstant(date) }, text);
}

/** Return what is on record of a contact's consent: nothing, if they were never asked. */
export function consentBadge(consent) {
  if (!consent) return "";
  const { opted_in: isIn, opted_in_at: at } = consent;
  const title = at ? `Latest opt-in: ${printInstant(at)}` : "Never opted in";
  return span(`badge ${isIn ? "in" : "out"}`, `opted ${isIn ? "in" : "out"}`, title);
}

function previewOf({ last_message_preview: preview, last_message_body_redacted_at: redactedAt }) {
  if (redactedAt || preview === "[media]") return span("note", preview);
  return preview ? make("bdi", {}, preview) : span("note", "[no text]");
}

/** Return an item of the list: of GET /v1/conversations, or of GET /v1/consent. */
export function contactItem(row) {
  const { id = "", href, today, isUnseen, last_message_at: at, opted_out_at: outAt } = row;
  const title = "Not opened in this browser since it came in";
  const name = make("span", {}, ...(isUnseen ? [span("mark", "New", title), " "] : []),
    span("contact", row.contact_number));
  const link = make("a", { href, className: isUnseen ? "new" : "" }, name, " ");
  if (at) {
    const isInbound = row.last_message_direction === "inbound";
    const word = { role: "img", ariaLabel: isInbound ? "Received" : "Sent", className: "arrow" };
    const arrow = make("span", word, isInbound ? "←" : "→");
    const facts = `${row.phone_number} · ${counted(row.message_count, "message")}`;
    link.append(timeOf(at, today), make("span", { className: "preview" }, arrow, " ",
      previewOf(row)), span("facts", facts), " ", consentBadge(row.consent));
  } else {
    const since = outAt ? [" · since ", timeOf(outAt, today)] : [];
    const facts = make("span", { className: "facts" }, row.phone_number, ...since);
    link.append(consentBadge(row), " ", facts);
  }
  return make("li", { id }, link);
}

/** Return a link that says where it leads. What is not an address of the web stays a text. */
function linkOf(text) {
  const url = /^https?:\/\//i.test(text) && URL.canParse(text) && new URL(text);
  if (!url) return [span("note", text)];
  const link = make("a", { href: url.href, target: "_blank", rel: "noopener noreferrer" });
  link.append(link.href); // As the browser writes it: percent-encoded, so that it cannot mislead.
  const isMisleading = url.username || url.password; // As http://bank.example@evil.example does.
  return [link, ...(isMisleading ? [span("note", ` leads to ${url.host}`)] : [])];
}

/** Return a text with its addresses as links. What ends a sentence or a bracket is no part. */
function textWithLinks(text) {
  const parts = [];
  let end = 0;
  for (const { 0: found, index } of text.matchAll(URL_IN_TEXT)) {
    const address = found.replace(found.includes("(") ? /[.,;:!?'*]+$/ : /[.,;:!?'*)\]}]+$/, "");
    if (!URL.canParse(address)) continue;
    parts.push(text.slice(end, index), ...linkOf(address));
    end = index + address.length;
  }
  return [...parts, text.slice(end)];
}

function mediaItem(href) {
  const isTwilio = /^https?:\/\/api\.twilio\.com\//i.test(href);
  return make("div", {}, ...linkOf(href), ...(isTwilio ? [make("br"), span("note", TWILIO)] : []));
}

function messageItem(message) {
  const { body, direction, media_urls, created_at: at, redacted_at: redactedAt } = message;
  const item = make("li", { className: `message ${direction}` }, ...media_urls.map(mediaItem));
  if (body) item.prepend(make("p", { dir: "auto" }, ...textWithLinks(body)));
  if (redactedAt) item.append(span("note", `[redacted] on ${printDate(new Date(redactedAt))}`));
  else if (!item.firstChild) item.append(span("note", body === null ? "[media]" : "[no text]"));
  const word = direction === "inbound" ? "Received " : "Sent ";
  const onPaper = `${message.from_number} to ${message.to_number}, ${printInstant(at)}`;
  item.append(make("footer", {}, span("spoken", word), timeOf(at, dayOf(at)),
    span("paper", onPaper)));
  return item;
}

const dayItem = (day) => make("li", { className: "day quiet" }, printLongDate(new Date(day)));

/** Return what a thread shows with what makes items of it: days, and their messages. */
export const messageItems = (rows) => new Map(rows.toReversed().flatMap((message) => [
  [dayOf(message.created_at), dayItem], [message, messageItem],
]));
