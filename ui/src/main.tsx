// SPDX-License-Identifier: MIT
// The page's start: the shell is drawn, then the stream opened. Maps the views:
//   views/models      all models, what they take, load, unload, hold, pin
//   views/model       one model: arguments, header, history, log, requests
//   views/activity    requests and changes as they happen
//   views/timelines   memory, tokens, queue and swaps over the hour and the day
//   views/playground, downloads, presets, doctor
// api/ talks to the server, state/ keeps what it told, parts/ is shared by views, style/ is how it looks.
import { render } from "preact";
import { startLive } from "./api/live";
import { Shell } from "./shell";
import { followAddress } from "./state/route";

const place = document.getElementById("page");
if (place) {
  followAddress();
  startLive();
  render(<Shell />, place);
}
