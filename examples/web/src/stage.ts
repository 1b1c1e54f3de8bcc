/** Where the pictures stand: people in a grid that fills its space, shared screens large beside them. */

import { Track, type Participant, type Room } from "livekit-client";

import { h } from "./dom";
import { Tile, type TileSource } from "./tile";

const GAP = 12;
const RATIO = 16 / 9;

export class Stage {
  readonly element: HTMLElement;
  private readonly screens = h("div", { class: "screens" });
  private readonly people = h("div", { class: "people" });
  private readonly tiles = new Map<string, Tile>();
  private readonly sizes = new ResizeObserver(() => this.fit());

  constructor(private readonly room: Room, private readonly whenAlone: HTMLElement) {
    this.element = h("section", { class: "stage", "aria-label": "Participants" }, this.screens, this.people);
    for (const area of [this.screens, this.people]) this.sizes.observe(area);
  }

  /** Brings the tiles in line with the room. Cheap, so any event may call it. */
  update(): void {
    const wanted = new Set<string>();
    const everybody: Participant[] = [...this.room.remoteParticipants.values(), this.room.localParticipant];
    for (const participant of everybody) {
      wanted.add(this.place(participant, Track.Source.Camera, this.people));
      if (participant.isScreenShareEnabled) wanted.add(this.place(participant, Track.Source.ScreenShare, this.screens));
    }
    for (const [key, tile] of this.tiles) {
      if (wanted.has(key)) continue;
      tile.remove();
      this.tiles.delete(key);
    }
    if (everybody.length === 1) this.people.append(this.whenAlone);
    else this.whenAlone.remove();
    this.element.classList.toggle("has-screens", this.screens.childElementCount > 0);
    this.fit();
  }

  close(): void {
    this.sizes.disconnect();
    for (const tile of this.tiles.values()) tile.remove();
  }

  private place(participant: Participant, source: TileSource, area: HTMLElement): string {
    const key = `${participant.sid}/${source}`;
    const tile = this.tiles.get(key);
    if (tile) {
      tile.update();
    } else {
      const added = new Tile(participant, source);
      this.tiles.set(key, added);
      if (participant === this.room.localParticipant) area.append(added.element); // after the others
      else area.prepend(added.element);
    }
    return key;
  }

  private fit(): void {
    for (const area of [this.screens, this.people]) {
      const width = tileWidth(area.childElementCount, area.clientWidth, area.clientHeight);
      area.style.setProperty("--tile-width", `${width}px`);
    }
  }
}

/** The widest that `count` tiles of one size may be to fit together. */
function tileWidth(count: number, width: number, height: number): number {
  let best = 0;
  for (let columns = 1; columns <= count; columns++) {
    const rows = Math.ceil(count / columns);
    const byWidth = (width - GAP * (columns - 1)) / columns;
    const byHeight = ((height - GAP * (rows - 1)) / rows) * RATIO;
    best = Math.max(best, Math.min(byWidth, byHeight));
  }
  return Math.floor(best);
}
