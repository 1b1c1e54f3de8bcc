/**
 * Where the call is, and a token of one's own for it.
 *
 * The link that `atrium dev` prints has the server's URL and a guest token. Two who joined with one identity would put each
 * other out, so each opening of the page asks the server for the same token under another identity. A token for anybody but
 * the guest is used as it is.
 */

import { Problem } from "./problems";

const GUEST = "guest";
const REMEMBERED = "atrium.identity";

export interface Invitation {
  url: string;
  token: string;
}

export interface Claims {
  identity: string;
  name: string;
  room: string;
}

/** What the address of this page says; the fragment, which no server gets to see, wins over the query. */
export function readInvitation(location: Location): Invitation {
  const query = new URLSearchParams(location.search);
  const fragment = new URLSearchParams(location.hash.slice(1));
  const read = (name: string): string => fragment.get(name) ?? query.get(name) ?? "";
  const scheme = location.protocol === "https:" ? "wss:" : "ws:";
  return { url: read("url") || `${scheme}//${location.host}`, token: read("token") };
}

/** What a token says, unverified: that is the server's to do. Undefined if it is none. */
export function readClaims(token: string): Claims | undefined {
  try {
    const part = (token.split(".")[1] ?? "").replace(/-/g, "+").replace(/_/g, "/");
    const bytes = Uint8Array.from(atob(part), (char) => char.charCodeAt(0));
    const values = JSON.parse(new TextDecoder().decode(bytes)) as Record<string, unknown>;
    const grant = (values["video"] ?? {}) as Record<string, unknown>;
    const text = (value: unknown): string => (typeof value === "string" ? value : "");
    return { identity: text(values["sub"]), name: text(values["name"]), room: text(grant["room"]) };
  } catch {
    return undefined;
  }
}

export const isGuest = (claims: Claims | undefined): boolean => claims?.identity === GUEST;

/** A token that nobody else joins with; `chosen` is the room of those who have none. Raises Problem. */
export async function ownToken({ url, token }: Invitation, chosen: string, name: string): Promise<string> {
  const claims = readClaims(token);
  if (token && !isGuest(claims)) return token;
  const room = claims?.room || chosen;
  const ask = new URL("demo/token", url.replace(/^ws/, "http").replace(/\/?$/, "/"));
  ask.search = new URLSearchParams({ room, name, identity: await ownIdentity(name) }).toString();
  const headers: HeadersInit = token ? { authorization: `Bearer ${token}` } : {};
  let answer: Response;
  try {
    answer = await fetch(ask, { headers });
  } catch {
    throw new Problem("unreachable", `No answer from ${ask.host}. Is the server running?`);
  }
  if (answer.ok) return ((await answer.json()) as { token: string }).token;
  if (token && answer.status === 404) return token; // not a development server: the token is all there is
  if (token) throw new Problem("refused", `The server refused the invitation: ${(await answer.text()).trim()}.`);
  throw new Problem("token", "This server gives no tokens to visitors. Paste one under “Connection details”.");
}

/**
 * The identity of this tab. It outlives a reload, so that the visitor comes back as the same participant. A duplicated tab
 * starts with a copy of the memory; the lock tells it that the identity is taken.
 */
async function ownIdentity(name: string): Promise<string> {
  const remembered = sessionStorage.getItem(REMEMBERED);
  if (remembered && (await claim(remembered))) return remembered;
  const fresh = `${slug(name) || GUEST}-${randomLetters(5)}`;
  sessionStorage.setItem(REMEMBERED, fresh);
  await claim(fresh);
  return fresh;
}

const held = new Set<string>();

/** Whether this page holds the identity now; a lock lasts as long as its page. */
async function claim(identity: string): Promise<boolean> {
  if (held.has(identity) || !("locks" in navigator)) return true; // plain HTTP on a network has no locks
  const taken = await new Promise<boolean>((resolve) => {
    void navigator.locks.request(`atrium:${identity}`, { ifAvailable: true }, (lock) => {
      resolve(lock !== null);
      return lock === null ? undefined : new Promise<void>(() => {});
    });
  });
  if (taken) held.add(identity);
  return taken;
}

function slug(name: string): string {
  return name.normalize("NFKD").toLowerCase().replace(/[^a-z0-9]+/g, "-").replace(/^-|-$/g, "").slice(0, 24);
}

function randomLetters(count: number): string {
  const alphabet = "abcdefghjkmnpqrstuvwxyz23456789"; // none that look alike
  return Array.from(crypto.getRandomValues(new Uint8Array(count)), (byte) => alphabet[byte % alphabet.length]).join("");
}

const ADJECTIVES = ["Amber", "Bright", "Calm", "Clever", "Coral", "Gentle", "Golden", "Keen", "Lively", "Quiet", "Swift", "Violet"];
const ANIMALS = ["Badger", "Falcon", "Finch", "Fox", "Hare", "Heron", "Lynx", "Otter", "Owl", "Robin", "Seal", "Wren"];

/** A name for those who gave none. */
export function suggestName(): string {
  const [a = 0, b = 0] = crypto.getRandomValues(new Uint8Array(2));
  return `${ADJECTIVES[a % ADJECTIVES.length]} ${ANIMALS[b % ANIMALS.length]}`;
}
