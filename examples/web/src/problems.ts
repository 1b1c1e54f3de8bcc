/** What can go wrong, in words that say what to do about it. */

import { ConnectionError, ConnectionErrorReason, DisconnectReason } from "livekit-client";

export type ProblemKind = "unreachable" | "refused" | "token" | "other";

export class Problem extends Error {
  constructor(readonly kind: ProblemKind, message: string) {
    super(message);
  }
}

/** Why a call could not be joined. */
export function joinProblem(error: unknown, url: string): Problem {
  if (error instanceof Problem) return error;
  if (!(error instanceof ConnectionError)) {
    return new Problem("other", `Joining failed: ${error instanceof Error ? error.message : String(error)}`);
  }
  switch (error.reason) {
    case ConnectionErrorReason.NotAllowed:
      return new Problem("refused", `The server refused the token: ${plain(error.message)}`);
    case ConnectionErrorReason.Timeout:
      return new Problem("unreachable", `${url} took too long to answer. Is its UDP port open to you?`);
    case ConnectionErrorReason.ServerUnreachable:
    case ConnectionErrorReason.WebSocket:
      return new Problem("unreachable", `No answer from ${url}. Is the server running, and is the address right?`);
    default:
      return new Problem("other", `Joining failed: ${plain(error.message)}`);
  }
}

/** Why camera, microphone or screen could not be used; undefined where the visitor only changed their mind. */
export function deviceProblem(error: unknown, device: "camera" | "microphone" | "screen"): string | undefined {
  if (!navigator.mediaDevices) {
    return `Browsers allow the ${device} on https pages and on localhost only, and this page is neither.`;
  }
  const name = error instanceof Error ? error.name : "";
  if (device === "screen") {
    return name === "NotAllowedError" ? undefined : `The screen could not be shared: ${describe(error)}`;
  }
  const Device = device === "camera" ? "Camera" : "Microphone";
  switch (name) {
    case "NotAllowedError":
      return `The browser blocks the ${device}. Allow it in the site's settings, beside the address, then press ${Device} again.`;
    case "NotFoundError":
    case "OverconstrainedError":
      return `No ${device} was found. Connect one, then press ${Device} again.`;
    case "NotReadableError":
      return `The ${device} is in use by another program. Close that, then press ${Device} again.`;
    default:
      return `The ${device} could not be started: ${describe(error)}`;
  }
}

export interface Ending {
  title: string;
  detail: string;
}

/** How a call ended, as its last page says it. */
export function ending(reason: DisconnectReason | undefined): Ending {
  switch (reason) {
    case DisconnectReason.CLIENT_INITIATED:
      return { title: "You left the call", detail: "You can go back at any time." };
    case DisconnectReason.DUPLICATE_IDENTITY:
      return { title: "You joined from elsewhere", detail: "Somebody joined with the same token, so this page was put out." };
    case DisconnectReason.SERVER_SHUTDOWN:
      return { title: "The server is shutting down", detail: "Once it is back you can join again." };
    case DisconnectReason.PARTICIPANT_REMOVED:
      return { title: "You were removed from the call", detail: "Whoever runs the call ended it for you." };
    case DisconnectReason.ROOM_DELETED:
    case DisconnectReason.ROOM_CLOSED:
      return { title: "The call was ended", detail: "Its room was closed for everybody." };
    default:
      return { title: "The connection was lost", detail: "The server could not be reached again. Look at your network, then rejoin." };
  }
}

function describe(error: unknown): string {
  return error instanceof Error ? plain(error.message || error.name) : plain(String(error));
}

function plain(message: string): string {
  return message.replace(/^could not establish signal connection: /, "").replace(/[.\s]*$/, "") + ".";
}
