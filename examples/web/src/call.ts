/** The page of a running call: ties a room's events to what is on the screen. */

import {
  RoomEvent,
  Track,
  type DisconnectReason,
  type Participant,
  type RemoteTrack,
  type Room,
} from "livekit-client";

import { Chat } from "./chat";
import { Controls } from "./controls";
import { announce, h, icon } from "./dom";
import { Stage } from "./stage";

/** After any of these the picture may have changed. */
const CHANGES = [
  RoomEvent.ParticipantConnected,
  RoomEvent.ParticipantDisconnected,
  RoomEvent.ParticipantNameChanged,
  RoomEvent.ParticipantPermissionsChanged,
  RoomEvent.TrackPublished,
  RoomEvent.TrackUnpublished,
  RoomEvent.TrackSubscribed,
  RoomEvent.TrackUnsubscribed,
  RoomEvent.TrackMuted,
  RoomEvent.TrackUnmuted,
  RoomEvent.LocalTrackPublished,
  RoomEvent.LocalTrackUnpublished,
  RoomEvent.ActiveSpeakersChanged,
  RoomEvent.ConnectionQualityChanged,
  RoomEvent.Reconnected,
] as const;

export interface Wish {
  camera: boolean;
  microphone: boolean;
}

export class CallView {
  readonly element: HTMLElement;
  private readonly stage: Stage;
  private readonly chat: Chat;
  private readonly controls: Controls;
  private readonly count = h("span", { class: "count" });
  private readonly notices = h("div", { class: "notices" });
  private readonly sounds = h("div", { hidden: true });
  private readonly title = h("h1");
  private isOpen = false;

  constructor(private readonly room: Room, invitationLink: string | undefined, ended: (reason?: DisconnectReason) => void) {
    this.chat = new Chat(room, () => this.controls.update());
    this.controls = new Controls(room, this.chat, (about, text) => this.notice(about, text));
    this.stage = new Stage(room, waiting(invitationLink));
    const logo = h("img", { src: "icon.svg", alt: "", width: 28, height: 28 });
    this.element = h(
      "div",
      { class: "call" },
      h("header", { class: "bar" }, logo, this.title, this.count, invitationLink ? copyButton(invitationLink) : false),
      h("main", {}, this.stage.element, this.chat.element),
      this.notices,
      h("footer", {}, this.controls.element),
      this.sounds,
    );
    this.listen(ended);
  }

  /** Once the room is joined: shows it, and starts what the visitor asked for on the way in. */
  async open({ camera, microphone }: Wish): Promise<void> {
    this.isOpen = true;
    this.title.textContent = this.room.name;
    this.update();
    if (this.room.localParticipant.permissions?.canPublish === false) return;
    await Promise.all([
      microphone ? this.controls.flip("microphone", true) : undefined,
      camera ? this.controls.flip("camera", true) : undefined,
    ]);
  }

  private listen(ended: (reason?: DisconnectReason) => void): void {
    const { room } = this;
    for (const event of CHANGES) room.on(event, () => this.update());
    room.on(RoomEvent.TrackSubscribed, (track) => this.play(track));
    room.on(RoomEvent.TrackUnsubscribed, (track) => this.silence(track));
    room.on(RoomEvent.ParticipantConnected, (participant) => this.tell(`${nameOf(participant)} joined`));
    room.on(RoomEvent.ParticipantDisconnected, (participant) => this.tell(`${nameOf(participant)} left`));
    room.on(RoomEvent.SignalReconnecting, () => this.notice("connection", "The connection was lost. Reconnecting…"));
    room.on(RoomEvent.Reconnecting, () => this.notice("connection", "The connection was lost. Reconnecting…"));
    room.on(RoomEvent.Reconnected, () => this.notice("connection", undefined));
    room.on(RoomEvent.AudioPlaybackStatusChanged, () => this.offerSound());
    room.once(RoomEvent.Disconnected, (reason) => {
      this.stage.close();
      this.chat.close();
      if (this.isOpen) ended(reason);
    });
  }

  private update(): void {
    if (!this.isOpen) return;
    this.stage.update();
    this.controls.update();
    const people = this.room.remoteParticipants.size + 1;
    this.count.textContent = people === 1 ? "only you" : `${people} people`;
  }

  private play(track: RemoteTrack): void {
    if (track.kind === Track.Kind.Audio) this.sounds.append(track.attach());
  }

  private silence(track: RemoteTrack): void {
    if (track.kind === Track.Kind.Audio) for (const element of track.detach()) element.remove();
  }

  private tell(text: string): void {
    this.chat.note(text);
    announce(text);
  }

  /** Browsers keep a page silent that was not clicked yet, such as one that was reloaded. */
  private offerSound(): void {
    const allow = h("button", { type: "button", class: "primary", click: () => void this.room.startAudio() }, "Turn on sound");
    this.notice("sound", this.room.canPlaybackAudio ? undefined : "The browser waits for a click before it plays sound.", allow);
  }

  /** Shows what there is to say about something, or takes it away. */
  private notice(about: string, text: string | undefined, action?: HTMLElement): void {
    this.notices.querySelector(`[data-about="${about}"]`)?.remove();
    if (text === undefined) return;
    const notice = h("div", { class: "notice", role: "alert", "data-about": about }, icon(about === "sound" ? "sound" : "warning"), h("p", {}, text));
    const close = h("button", { type: "button", class: "quiet", "aria-label": "Dismiss", click: () => notice.remove() }, icon("close"));
    notice.append(action ?? close);
    this.notices.append(notice);
  }
}

/** Stands where the others will be. */
function waiting(link: string | undefined): HTMLElement {
  const card = h("div", { class: "tile waiting" }, h("p", { class: "strong" }, "Nobody else is here yet"));
  if (link) card.append(h("p", {}, "Open the link in another tab, or send it to somebody."), copyButton(link));
  return card;
}

function copyButton(link: string): HTMLButtonElement {
  const label = h("span", { class: "label" }, "Copy link");
  const button = h("button", { type: "button", class: "secondary copy" }, icon("link"), label);
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(link);
    } catch {
      window.prompt("Copy this link:", link); // no clipboard on plain HTTP
      return;
    }
    label.textContent = "Copied";
    announce("Link copied");
    window.setTimeout(() => (label.textContent = "Copy link"), 2000);
  });
  return button;
}

const nameOf = (participant: Participant): string => participant.name || participant.identity;
