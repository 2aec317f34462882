"use strict";

const find = (selector, root = document) => root.querySelector(selector);

// All texts become text nodes, so nothing that a model or a user wrote is ever HTML.
function make(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else if (value === true) element.setAttribute(key, "");
    else if (value !== undefined && value !== false) element.setAttribute(key, value);
  }
  element.append(...children.filter((child) => child !== undefined && child !== ""));
  return element;
}

// The picture before lies on the one after, as far as the slider is moved to the right.
function compare(before, after) {
  before.classList.add("before");
  const slider = make("input", { type: "range", min: "0", max: "100", value: "50", "aria-label": "How much of the picture before is shown" });
  const box = make("div", { class: "compare" }, after, before, make("i"), make("span", {}, "Before"), make("span", {}, "After"), slider);
  slider.addEventListener("input", () => box.style.setProperty("--at", `${slider.value}%`));
  return box;
}

const BRANDS = {
  ai: "AI", elevenlabs: "ElevenLabs", gpt: "GPT", happyhorse: "HappyHorse", hd: "HD", infinitalk: "InfiniteTalk", minimax: "MiniMax",
  omnihuman: "OmniHuman", pixverse: "PixVerse", tts: "TTS", videoedit: "Video Edit",
};

// The name of a model as people say it: Seedream 4 for bytedance/seedream-v4-text-to-image.
function nameModel(id) {
  const known = { "4o-image-api": "GPT-4o Image", batch: "Batch", "kie-mcp/edit": "Film", "ai-music-api/generate": "Suno", "z-image": "Z-Image" };
  if (Object.hasOwn(known, id)) return known[id];
  const plain = id.replace(/^ai-music-api\/(suno-)?/, "suno ").replace(/^mj_/, "midjourney ").replace("txt2img", "").replace("img2img", "")
    .replace(/^bytedance\/v1/, "seedance 1").replace(/^(bytedance|google|volcengine)\//, "")
    .replace(/(text|image|video|reference|speech)-to-(video|image|speech)/, "").replace(/\/video$/, "").replace(/([a-z])([A-Z])/g, "$1 $2");
  return plain.toLowerCase()
    .replace(/(\d)-(\d)(?!\d)/g, "$1.$2")
    .replace(/\bv(\d)/g, "$1")
    .replace(/([a-z]{3,})(\d)/g, "$1 $2")
    .split(/[\s/_-]+/).filter(Boolean)
    .map((word) => (Object.hasOwn(BRANDS, word) ? BRANDS[word] : /^[a-z]?\d+[a-z]+$|^r2v$/.test(word) && !/p$/.test(word) ? word.toUpperCase() : /^(and|from|to)$/.test(word) ? word : word[0].toUpperCase() + word.slice(1)))
    .join(" ");
}
