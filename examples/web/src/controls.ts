/** The toolbar: what one sends, the chat, and the way out. */

import type { LocalParticipant, Room } from "livekit-client";

import type { Chat } from "./chat";
import { h, icon } from "./dom";
import type { Icon } from "./icons";
import { deviceProblem } from "./problems";

type Device = "microphone" | "camera" | "screen";

interface Switch {
  label: string;
  icons: { on: Icon; off: Icon };
  isOn: (me: LocalParticipant) => boolean;
  set: (me: LocalParticipant, on: boolean) => Promise<unknown>;
}

const SWITCHES: Record<Device, Switch> = {
  microphone: {
    label: "Microphone",
    icons: { on: "microphone", off: "microphoneOff" },
    isOn: (me) => me.isMicrophoneEnabled,
    set: (me, on) => me.setMicrophoneEnabled(on),
  },
  camera: {
    label: "Camera",
    icons: { on: "camera", off: "cameraOff" },
    isOn: (me) => me.isCameraEnabled,
    set: (me, on) => me.setCameraEnabled(on),
  },
  screen: {
    label: "Share screen",
    icons: { on: "screen", off: "screen" },
    isOn: (me) => me.isScreenShareEnabled,
    set: (me, on) => me.setScreenShareEnabled(on, { audio: true }),
  },
};

export class Controls {
  readonly element: HTMLElement;
  private readonly buttons = new Map<Device, HTMLButtonElement>();
  private readonly chatButton: HTMLButtonElement;
  private readonly badge = h("span", { class: "badge", hidden: true });

  constructor(
    private readonly room: Room,
    private readonly chat: Chat,
    private readonly complain: (about: string, text: string | undefined) => void,
  ) {
    for (const device of Object.keys(SWITCHES) as Device[]) {
      this.buttons.set(device, h("button", { type: "button", class: `control ${device}`, click: () => void this.flip(device) }));
    }
    this.chatButton = h("button", { type: "button", class: "control", click: () => this.chat.toggle() });
    chat.opener = this.chatButton;
    this.chatButton.append(icon("chat"), h("span", { class: "label" }, "Chat"), this.badge);
    const leave = h("button", { type: "button", class: "control leave", click: () => void room.disconnect() });
    leave.append(icon("leave"), h("span", { class: "label" }, "Leave"));
    this.element = h("div", { class: "controls", role: "group", "aria-label": "Call" });
    this.element.append(...this.buttons.values(), this.chatButton, leave);
    if (!canShareScreens()) this.buttons.get("screen")?.remove();
    this.update();
  }

  update(): void {
    const me = this.room.localParticipant;
    for (const [device, button] of this.buttons) {
      const { label, icons, isOn } = SWITCHES[device];
      const on = isOn(me);
      if (button.getAttribute("aria-pressed") === String(on)) continue;
      button.setAttribute("aria-pressed", String(on));
      button.replaceChildren(icon(on ? icons.on : icons.off), h("span", { class: "label" }, label));
    }
    for (const button of this.buttons.values()) button.disabled = me.permissions?.canPublish === false;
    const { isOpen, unread } = this.chat;
    this.chatButton.setAttribute("aria-pressed", String(isOpen));
    this.badge.hidden = unread === 0;
    this.badge.textContent = unread > 9 ? "9+" : String(unread);
    this.badge.setAttribute("aria-label", `${unread} unread`);
  }

  /** Starts or stops sending; what goes wrong is complained about, never thrown. */
  async flip(device: Device, on = !SWITCHES[device].isOn(this.room.localParticipant)): Promise<void> {
    const button = this.buttons.get(device);
    button?.setAttribute("aria-busy", "true");
    try {
      await SWITCHES[device].set(this.room.localParticipant, on);
      this.complain(device, undefined);
    } catch (error) {
      this.complain(device, deviceProblem(error, device));
    } finally {
      button?.removeAttribute("aria-busy");
      this.update();
    }
  }
}

function canShareScreens(): boolean {
  return "mediaDevices" in navigator && "getDisplayMedia" in navigator.mediaDevices;
}
