/**
 * Which of a publisher's layers to be sent: one of three, or the one that fits the size of the picture. The text beside the
 * choice is the size of the frames that really arrive.
 */

import { VideoQuality, type RemoteTrackPublication, type Track } from "livekit-client";

import { h } from "./dom";

const CHOICES = { auto: "Auto", high: "High", medium: "Medium", low: "Low" } as const;
const QUALITIES = { high: VideoQuality.HIGH, medium: VideoQuality.MEDIUM, low: VideoQuality.LOW } as const;
const SETTLE_MS = 200; // how long a size must last before it is asked for

type Choice = keyof typeof CHOICES;

export class LayerPicker {
  readonly element: HTMLElement;
  private readonly select = h(
    "select",
    { change: () => this.apply() },
    ...Object.entries(CHOICES).map(([value, words]) => h("option", { value }, words)),
  );
  private readonly received = h("span", { class: "received", title: "Size of the frames that arrive" });
  private readonly sizes = new ResizeObserver(() => this.sizeChanged());
  private publication: RemoteTrackPublication | undefined;
  private track: Track | undefined;
  private settling: number | undefined;

  constructor(private readonly video: HTMLVideoElement) {
    this.element = h("div", { class: "layers", hidden: true }, this.received, this.select);
    video.addEventListener("resize", () => this.showReceived());
    this.sizes.observe(video);
  }

  update(publication: RemoteTrackPublication | undefined, name: string): void {
    const track = publication?.track;
    this.publication = publication;
    this.select.setAttribute("aria-label", `Video quality of ${name}`);
    this.select.title = "Video quality to be sent";
    this.element.hidden = track === undefined || publication?.isMuted === true;
    if (track !== this.track) {
      this.track = track; // a new track knows nothing of what was asked of the old one
      this.apply();
    }
    this.showReceived();
  }

  close(): void {
    this.sizes.disconnect();
    window.clearTimeout(this.settling);
  }

  private apply(): void {
    if (!this.publication?.track) return;
    const choice = this.select.value as Choice;
    if (choice === "auto") {
      const { clientWidth, clientHeight } = this.video;
      const scale = window.devicePixelRatio;
      if (!clientWidth || !clientHeight) return;
      this.publication.setVideoDimensions({
        width: Math.round(clientWidth * scale),
        height: Math.round(clientHeight * scale),
      });
    } else {
      this.publication.setVideoQuality(QUALITIES[choice]);
    }
  }

  private sizeChanged(): void {
    window.clearTimeout(this.settling);
    this.settling = window.setTimeout(() => this.select.value === "auto" && this.apply(), SETTLE_MS);
  }

  private showReceived(): void {
    const { videoWidth, videoHeight } = this.video;
    this.received.textContent = videoWidth ? `${videoWidth}×${videoHeight}` : "";
  }
}
