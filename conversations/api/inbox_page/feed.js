// What the page reads from the API: requests with the key, a sentence for whatever can go wrong,
// and lists that are read page by page and kept fresh.

const FIRST_PAGE = 50;
const FURTHER_PAGES = 200;
const TIMEOUT_MS = 15_000;
const SENTENCES = {
  0: "The service is out of reach. This page goes on by itself.",
  401: "The service does not accept this key: it is wrong, expired or revoked.",
  403: "This key may not read the inbox: it lacks the scope conversations:read.",
  404: "This conversation does not exist, or not for this key.",
  422: "The address of this page names a filter that the service does not know.",
  503: "The inbox is not available: its database is away or busy. This page goes on by itself.",
};

/** What went wrong with a request: a sentence, and the response's status, or 0 without one. */
export class Problem extends Error {
  constructor(status, error) {
    super(SENTENCES[status >= 502 ? 503 : status]
      ?? `The service responded with status ${status}. ${error?.request_id ?? ""}`);
    this.status = status;
  }
}

/** Return a response, or null if it still is the one with this ETag. Throws Problem. */
export async function ask(path, parameters, etag) {
  const { apiKey } = sessionStorage;
  if (!/^[!-~]+$/.test(apiKey)) throw new Problem(401); // A header takes no other characters.
  const headers = { Authorization: `Bearer ${apiKey}`, ...(etag && { "If-None-Match": etag }) };
  const query = new URLSearchParams(Object.entries(parameters).filter(([, value]) => value));
  const options = { headers, cache: "no-store", signal: AbortSignal.timeout(TIMEOUT_MS) };
  const response = await fetch(`${path}?${query}`, options).catch(() => { throw new Problem(0); });
  if (response.status === 304) return null;
  const body = await response.json().catch(() => null); // The page of a proxy is not JSON.
  if (!response.ok || !body) throw new Problem(response.ok ? 0 : response.status, body?.error);
  return { ...body, etag: response.headers.get("ETag") };
}

/** A list as far as it has been read: its rows, how many there are, a cursor while more follow. */
export class Feed {
  rows = [];
  total = 0;
  isRead = false;
  cursor = null;
  #etag = null;
  #last = Promise.resolve();

  constructor(path, parameters = {}) {
    Object.assign(this, { path, parameters });
  }

  /** Read the page at the cursor, or without one all rows again. Return whether any changed. */
  read(cursor) {
    const job = async () => {
      if (!cursor) return this.#refresh();
      if (cursor !== this.cursor) return false; // Another call has read that page meanwhile.
      Object.assign(this, await this.#further(this));
      return true;
    };
    return (this.#last = this.#last.catch(() => {}).then(job)); // One after the other.
  }

  async #refresh() {
    const first = await ask(this.path, { ...this.parameters, limit: FIRST_PAGE }, this.#etag);
    if (!first) return false;
    let read = { rows: first.data, cursor: first.meta.next_cursor };
    while (read.cursor && read.rows.length < this.rows.length) read = await this.#further(read);
    Object.assign(this, read, { total: first.meta.total, isRead: true });
    this.#etag = first.etag;
    return true;
  }

  async #further({ rows, cursor }) {
    const page = await ask(this.path, { ...this.parameters, limit: FURTHER_PAGES, cursor });
    return { rows: [...rows, ...page.data], cursor: page.meta.next_cursor };
  }
}
