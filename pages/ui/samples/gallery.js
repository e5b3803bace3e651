/** A grid of images or names as buttons: keyboard reachable, loaded when seen, text never parsed as HTML. */
export default function ({ data, parentElement, setTriggerValue }) {
  const grid = parentElement.querySelector(".gallery");
  grid.classList.toggle("cards", data.items.every((item) => item.src === null));
  grid.replaceChildren(
    ...data.items.map((item) => {
      const button = document.createElement("button");
      button.type = "button";
      button.className = item.wrong ? "tile wrong" : "tile";
      button.title = item.src === null ? `${item.title} (${item.name})` : item.title;
      const top = document.createElement(item.src === null ? "em" : "img");
      if (item.src === null) {
        top.textContent = item.name;
      } else {
        top.src = item.src;
        top.alt = item.title;
        top.loading = "lazy";
      }
      const first = document.createElement("span");
      first.textContent = item.first;
      const second = document.createElement("small");
      second.textContent = item.second;
      button.append(top, first, second);
      button.onclick = () => setTriggerValue("chosen", item.sample_id);
      return button;
    }),
  );
}
