// Two pictures on top of each other, and a slider for where one ends and the other begins.
for (const frame of document.querySelectorAll(".frame")) {
  const [expected, actual] = frame.querySelectorAll("img");
  const template = frame.querySelector("template");
  if (!template) continue;
  frame.append(template.content.cloneNode(true));
  const wipe = frame.querySelector(".wipe");
  wipe.append(expected.cloneNode(), actual.cloneNode());
  const slider = frame.querySelector("input");
  slider.addEventListener("input", () => wipe.style.setProperty("--place", `${slider.value}%`));
}
