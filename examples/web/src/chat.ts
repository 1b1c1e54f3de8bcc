/** Text messages, as text streams on the topic that LiveKit's own pages use. */

import type { Room } from "livekit-client";

import { h, icon } from "./dom";

const TOPIC = "lk.chat";

export class Chat {
  readonly element: HTMLElement;
  private readonly log = h("div", { class: "messages", role: "log", "aria-label": "Messages", tabindex: 0 });
  private readonly input = h("input", {
    name: "message", placeholder: "Message everybody", "aria-label": "Message", autocomplete: "off", maxlength: 4000,
  });
  /** Where the keyboard goes when the panel closes. */
  opener: HTMLElement | undefined;
  private lastFrom = "";
  private unreadCount = 0;

  /** `changed` is called when the panel opens or closes, or the number of unread messages changes. */
  constructor(private readonly room: Room, private readonly changed: () => void) {
    const close = h("button", { type: "button", class: "quiet", "aria-label": "Close chat", click: () => this.toggle(false) });
    close.append(icon("close"));
    const send = h("button", { class: "primary", "aria-label": "Send" }, icon("send"));
    const form = h("form", { class: "composer", submit: (event) => this.submit(event) }, this.input, send);
    this.element = h(
      "aside",
      { class: "chat", "aria-label": "Chat", hidden: true, keydown: (event) => this.keyPressed(event as KeyboardEvent) },
      h("header", {}, h("h2", {}, "Chat"), close),
      this.log,
      form,
    );
    room.registerTextStreamHandler(TOPIC, (reader, { identity }) => {
      void reader.readAll().then((text) => this.received(identity, text));
    });
  }

  get unread(): number {
    return this.unreadCount;
  }

  get isOpen(): boolean {
    return !this.element.hidden;
  }

  toggle(open = !this.isOpen): void {
    if (!open && this.element.contains(document.activeElement)) this.opener?.focus();
    this.element.hidden = !open;
    if (open) {
      this.unreadCount = 0;
      this.log.scrollTop = this.log.scrollHeight;
      this.input.focus();
    }
    this.changed();
  }

  /** A line of the page's own, such as who came. */
  note(text: string): void {
    this.lastFrom = "";
    this.append(h("p", { class: "note" }, text));
  }

  close(): void {
    this.room.unregisterTextStreamHandler(TOPIC);
  }

  private keyPressed(event: KeyboardEvent): void {
    if (event.key === "Escape") this.toggle(false);
  }

  private submit(event: Event): void {
    event.preventDefault();
    const text = this.input.value.trim();
    if (!text) return;
    this.input.value = "";
    this.room.localParticipant.sendText(text, { topic: TOPIC }).then(
      () => this.show("You", "you", text),
      () => {
        this.input.value ||= text;
        this.note("The message could not be sent. Try again.");
      },
    );
  }

  private received(identity: string, text: string): void {
    const sender = this.room.remoteParticipants.get(identity);
    this.show(sender?.name || identity, identity, text);
    if (!this.isOpen) {
      this.unreadCount += 1;
      this.changed();
    }
  }

  private show(name: string, from: string, text: string): void {
    const item = h("div", { class: from === "you" ? "own" : "other" });
    if (from !== this.lastFrom) {
      const time = new Date().toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
      item.append(h("p", { class: "from" }, h("b", {}, name), h("time", {}, time)));
    }
    item.append(h("p", { class: "text" }, text));
    this.lastFrom = from;
    this.append(item);
  }

  private append(item: HTMLElement): void {
    const { scrollTop, scrollHeight, clientHeight } = this.log;
    const wasAtEnd = scrollHeight - clientHeight - scrollTop < 40;
    this.log.append(item);
    if (wasAtEnd) this.log.scrollTop = this.log.scrollHeight;
  }
}
