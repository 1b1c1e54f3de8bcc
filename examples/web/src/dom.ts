/** Small helpers for building elements. */

import { icons, type Icon } from "./icons";

type Attributes = Record<string, string | number | boolean | undefined | ((event: Event) => void)>;
type Child = Node | string | undefined | false;

/** An element with attributes and children. Functions are listeners, `true` is an empty attribute, `false` none. */
export function h<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  attributes: Attributes = {},
  ...children: Child[]
): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") element.addEventListener(name, value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== undefined && value !== false) element.setAttribute(name, String(value));
  }
  element.append(...children.filter((child): child is Node | string => child !== undefined && child !== false));
  return element;
}

/** An icon; the words beside it, or the label of its button, say what it means. */
export function icon(name: Icon): SVGSVGElement {
  const holder = document.createElement("template");
  holder.innerHTML =
    `<svg class="icon" viewBox="0 0 24 24" aria-hidden="true" fill="none" stroke="currentColor" stroke-width="1.8"` +
    ` stroke-linecap="round" stroke-linejoin="round">${icons[name]}</svg>`;
  return holder.content.firstElementChild as SVGSVGElement;
}

/** Says something to those who listen to the page rather than look at it. */
export function announce(text: string): void {
  const announcer = document.getElementById("announcer");
  if (announcer) announcer.textContent = text;
}
