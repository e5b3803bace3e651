/** A grid of images as buttons: keyboard reachable, loaded when seen, text never parsed as HTML. */
export default function ({ data, parentElement, setTriggerValue }) {
  const grid = parentElement.querySelector(".gallery");
  grid.replaceChildren(
    ...data.items.map((item) => {
      const button = document.createElement("button");
      button.type = "button";
      button.className = item.wrong ? "tile wrong" : "tile";
      button.title = item.title;
      const image = document.createElement("img");
      image.src = item.src;
      image.alt = item.title;
      image.loading = "lazy";
      const first = document.createElement("span");
      first.textContent = item.first;
      const second = document.createElement("small");
      second.textContent = item.second;
      button.append(image, first, second);
      button.onclick = () => setTriggerValue("chosen", item.sample_id);
      return button;
    }),
  );
}
