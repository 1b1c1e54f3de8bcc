/** One picture of the call: a participant's camera or the screen they share, with name, microphone, quality and layer. */

import {
  ConnectionQuality,
  LocalParticipant,
  RemoteTrackPublication,
  Track,
  type Participant,
  type TrackPublication,
} from "livekit-client";

import { h, icon } from "./dom";
import { LayerPicker } from "./layers";

const BARS: Partial<Record<ConnectionQuality, [bars: number, words: string]>> = {
  [ConnectionQuality.Excellent]: [3, "excellent"],
  [ConnectionQuality.Good]: [2, "good"],
  [ConnectionQuality.Poor]: [1, "poor"],
  [ConnectionQuality.Lost]: [0, "lost"],
};

export type TileSource = Track.Source.Camera | Track.Source.ScreenShare;

export class Tile {
  readonly element: HTMLElement;
  private readonly video = h("video", { autoplay: true, playsinline: true });
  private readonly avatar = h("span", { class: "avatar", "aria-hidden": "true" });
  private readonly name = h("span", { class: "tile-name" });
  private readonly muted = h("span", { class: "tile-muted", role: "img", "aria-label": "microphone off" }, icon("microphoneOff"));
  private readonly quality = h("span", { class: "bars", role: "img" }, h("i"), h("i"), h("i"));
  private readonly picker: LayerPicker | undefined;
  private track: Track | undefined;

  constructor(private readonly participant: Participant, private readonly source: TileSource) {
    this.video.muted = true; // sound plays apart, so that it does not stop with the picture
    this.picker = this.isLocal ? undefined : new LayerPicker(this.video);
    const caption = h("div", { class: "tile-caption" }, this.muted, this.name, this.quality);
    this.element = h("article", { class: "tile" }, this.video, this.avatar, caption, this.picker?.element);
    this.element.dataset["identity"] = participant.identity;
    this.element.dataset["source"] = source;
    this.element.style.setProperty("--hue", String(hue(participant.identity)));
    this.update();
  }

  /** Takes everything anew from the participant. */
  update(): void {
    const publication = this.participant.getTrackPublication(this.source);
    this.attach(publication);
    this.showCaption();
    const isCamera = this.source === Track.Source.Camera;
    this.element.classList.toggle("mirrored", this.isLocal && isCamera);
    this.element.classList.toggle("speaking", this.participant.isSpeaking && isCamera);
    this.element.setAttribute("aria-label", this.describe());
    this.picker?.update(publication instanceof RemoteTrackPublication ? publication : undefined, this.displayName);
  }

  remove(): void {
    this.track?.detach(this.video);
    this.picker?.close();
    this.element.remove();
  }

  private get isLocal(): boolean {
    return this.participant instanceof LocalParticipant;
  }

  private get displayName(): string {
    return this.participant.name || this.participant.identity;
  }

  private attach(publication: TrackPublication | undefined): void {
    const track = publication && !publication.isMuted ? publication.track : undefined;
    if (track !== this.track) {
      this.track?.detach(this.video);
      track?.attach(this.video);
      this.video.muted = true; // attaching a remote track unmutes its element
      this.track = track;
    }
    this.element.classList.toggle("has-video", track !== undefined);
  }

  private showCaption(): void {
    const screen = this.source === Track.Source.ScreenShare;
    const you = this.isLocal ? " (you)" : "";
    this.name.textContent = screen ? `${this.displayName}’s screen` : this.displayName + you;
    this.avatar.textContent = initials(this.displayName);
    this.muted.hidden = screen || this.participant.isMicrophoneEnabled;
    const [bars, words] = BARS[this.participant.connectionQuality] ?? [];
    this.quality.hidden = screen || words === undefined;
    this.quality.dataset["bars"] = String(bars);
    this.quality.setAttribute("aria-label", `connection ${words}`);
    this.quality.title = `Connection: ${words}`;
  }

  private describe(): string {
    if (this.source === Track.Source.ScreenShare) return `Screen of ${this.displayName}`;
    return this.displayName + (this.isLocal ? ", you" : "");
  }
}

function initials(name: string): string {
  const words = name.split(/[\s\-_.]+/).filter(Boolean);
  const letters = words.length > 1 ? [words[0], words[1]] : [words[0]];
  return letters.map((word) => [...(word ?? "?")][0]?.toUpperCase()).join("");
}

/** A colour of their own for each identity. */
function hue(identity: string): number {
  let sum = 0;
  for (const char of identity) sum = (sum * 31 + char.charCodeAt(0)) % 360;
  return sum;
}
