/** The form before the call, filled from the link. */

import type { Wish } from "./call";
import { h, icon } from "./dom";
import { isGuest, readClaims, type Invitation } from "./invitation";
import type { Problem } from "./problems";

const NAME = "atrium.name";

/** What the visitor last called themselves. A suggested name is not remembered, so that two tabs are two people. */
export const rememberedName = (): string | null => localStorage.getItem(NAME);

export interface Entry extends Wish {
  invitation: Invitation;
  /** Of a visitor without a token. */
  room: string;
  name: string;
}

export class JoinForm {
  readonly element: HTMLElement;
  private readonly form: HTMLFormElement;
  private readonly title = h("h1");
  private readonly name = h("input", { id: "name", name: "name", required: true, maxlength: 60, autocomplete: "nickname" });
  private readonly room = h("input", { id: "room", name: "room", maxlength: 120, autocomplete: "off" });
  private readonly url = h("input", { id: "url", name: "url", type: "url", required: true, spellcheck: "false" });
  private readonly token = h("textarea", { id: "token", name: "token", rows: 3, spellcheck: "false", input: () => this.adapt() });
  private readonly microphone = h("input", { type: "checkbox", name: "microphone" });
  private readonly camera = h("input", { type: "checkbox", name: "camera" });
  private readonly details: HTMLDetailsElement;
  private readonly problem = h("p", { class: "problem", role: "alert", hidden: true });
  private readonly button = h("button", { class: "primary wide" }, "Join");
  private givenName: string;

  constructor(entry: Entry, submit: (entry: Entry) => void) {
    this.givenName = entry.name;
    this.room.value = entry.room;
    this.url.value = entry.invitation.url;
    this.token.value = entry.invitation.token;
    this.microphone.checked = entry.microphone;
    this.camera.checked = entry.camera;
    this.name.addEventListener("input", () => (this.givenName = this.name.value));
    this.name.addEventListener("change", () => localStorage.setItem(NAME, this.givenName));
    this.details = h(
      "details",
      {},
      h("summary", {}, "Connection details"),
      field("Server", this.url),
      field("Token", this.token, "A token for “guest” is exchanged for one of your own."),
    );
    const send = (event: Event): void => {
      event.preventDefault();
      submit(this.read());
    };
    this.form = h(
      "form",
      { submit: send },
      field("Your name", this.name),
      field("Room", this.room),
      h("fieldset", {}, h("legend", {}, "Join with"), choice("microphone", "Microphone", this.microphone), choice("camera", "Camera", this.camera)),
      this.problem,
      this.button,
      this.details,
    );
    const logo = h("img", { src: "icon.svg", alt: "", width: 44, height: 44 });
    this.element = h("main", { class: "card" }, h("div", { class: "card-head" }, logo, this.title), this.form);
    this.adapt();
  }

  focus(): void {
    this.name.select();
    (this.name.readOnly ? this.button : this.name).focus();
  }

  busy(yes: boolean): void {
    this.button.disabled = yes;
    this.button.textContent = yes ? "Joining…" : "Join";
    if (yes) this.problem.hidden = true;
  }

  complain({ kind, message }: Problem): void {
    this.problem.replaceChildren(icon("warning"), h("span", {}, message));
    this.problem.hidden = false;
    this.details.open ||= kind !== "other";
    if (kind === "token") this.token.focus();
  }

  private read(): Entry {
    return {
      invitation: { url: this.url.value.trim(), token: this.token.value.trim() },
      room: this.room.value.trim() || "demo",
      name: this.givenName.trim(),
      camera: this.camera.checked,
      microphone: this.microphone.checked,
    };
  }

  /** What can be chosen depends on the token: one for somebody has their name and room in it. */
  private adapt(): void {
    const claims = readClaims(this.token.value.trim());
    const somebody = claims && !isGuest(claims);
    this.title.textContent = claims?.room ? `Join “${claims.room}”` : "Join a call";
    this.name.value = somebody ? claims.name || claims.identity : this.givenName;
    this.name.readOnly = somebody === true;
    (this.room.closest(".field") as HTMLElement).hidden = this.token.value.trim() !== "";
  }
}

function field(label: string, input: HTMLElement, hint?: string): HTMLElement {
  const words = hint ? h("small", { id: `${input.id}-hint` }, hint) : undefined;
  if (words) input.setAttribute("aria-describedby", words.id);
  return h("div", { class: "field" }, h("label", { for: input.id }, label), input, words);
}

function choice(name: "microphone" | "camera", label: string, input: HTMLInputElement): HTMLElement {
  return h("label", { class: "choice" }, input, icon(name), label);
}
