/** From the form into the call, and from its end back. */

import "./style.css";

import { Room, VideoPresets, setLogLevel, type DisconnectReason } from "livekit-client";

import { CallView } from "./call";
import { announce, h } from "./dom";
import { isGuest, ownToken, readClaims, readInvitation, suggestName, type Invitation } from "./invitation";
import { JoinForm, rememberedName, type Entry } from "./join";
import { ending, joinProblem } from "./problems";

const IN_CALL = "atrium.in-call";

const app = document.getElementById("app") as HTMLElement;
let unloading = false;
setLogLevel("warn");

function showForm(entry: Entry): JoinForm {
  const form = new JoinForm(entry, (filled) => void join(filled, form));
  show(form.element, "Join");
  form.focus();
  return form;
}

async function join(entry: Entry, form: JoinForm): Promise<void> {
  form.busy(true);
  const { invitation } = entry;
  const room = new Room({ dynacast: true, videoCaptureDefaults: { resolution: VideoPresets.h720.resolution } });
  const view = new CallView(room, shareable(entry), (reason) => showEnd(entry, reason)); // before the first event
  try {
    const token = await ownToken(invitation, entry.room, entry.name);
    await room.connect(invitation.url, token);
  } catch (error) {
    form.busy(false);
    form.complain(joinProblem(error, invitation.url));
    return;
  }
  remember(entry);
  show(view.element, room.name);
  announce(`You joined ${room.name}`);
  await view.open(entry);
}

function showEnd(entry: Entry, reason: DisconnectReason | undefined): void {
  if (unloading) return; // it may be a reload, which goes on with the call
  sessionStorage.removeItem(IN_CALL);
  const { title, detail } = ending(reason);
  const again = h("button", { type: "button", class: "primary", click: () => rejoin(entry) }, "Rejoin");
  const back = h("button", { type: "button", class: "secondary", click: () => showForm(entry) }, "Back to the start");
  const head = h("h1", {}, title);
  show(h("main", { class: "card end" }, head, h("p", {}, detail), h("div", { class: "actions" }, again, back)), title);
  again.focus();
  announce(`${title}. ${detail}`);
}

function rejoin(entry: Entry): void {
  void join(entry, showForm(entry));
}

function show(element: HTMLElement, title: string): void {
  app.replaceChildren(element);
  document.title = `${title} · Atrium`;
}

/** The link for others; none where the token is for one person. */
function shareable({ invitation: { url, token }, room }: Entry): string | undefined {
  const claims = readClaims(token);
  if (claims && !isGuest(claims)) return undefined;
  const query = token ? `url=${url}&token=${token}` : `url=${url}&room=${encodeURIComponent(room)}`;
  return `${location.origin}${location.pathname}#${query}`;
}

function remember(entry: Entry): void {
  sessionStorage.setItem(IN_CALL, JSON.stringify(entry));
}

/** What a call that was reloaded goes on with. */
function interrupted(invitation: Invitation): Entry | undefined {
  const [navigation] = performance.getEntriesByType("navigation") as PerformanceNavigationTiming[];
  const text = sessionStorage.getItem(IN_CALL);
  sessionStorage.removeItem(IN_CALL);
  if (!text || navigation?.type !== "reload") return undefined;
  const entry = JSON.parse(text) as Entry;
  return entry.invitation.token === invitation.token || !invitation.token ? entry : undefined;
}

/** Pages on plain HTTP, such as those of a phone on the local network, lack it, and text streams want it. */
function randomUUID(): ReturnType<Crypto["randomUUID"]> {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = ((bytes[6] ?? 0) & 0x0f) | 0x40; // version 4
  bytes[8] = ((bytes[8] ?? 0) & 0x3f) | 0x80; // RFC 9562's variant
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
}

function begin(): void {
  const invitation = readInvitation(location);
  const entry = interrupted(invitation);
  if (entry) {
    rejoin(entry);
    return;
  }
  const room = new URLSearchParams(location.hash.slice(1)).get("room") ?? "demo";
  showForm({ invitation, room, name: rememberedName() ?? suggestName(), camera: true, microphone: true });
}

for (const event of ["beforeunload", "pagehide"]) window.addEventListener(event, () => (unloading = true));
window.addEventListener("pageshow", ({ persisted }) => persisted && location.reload()); // back to a page whose call is over
window.addEventListener("hashchange", () => location.reload()); // a new link pasted over the old one
if (!("randomUUID" in crypto)) Object.assign(crypto, { randomUUID });
begin();
