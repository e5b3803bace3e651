/** Copies an address and says so. Without the clipboard of secure pages (http on another host) it selects and copies. */
export default function ({ data, parentElement }) {
  const button = parentElement.querySelector(".copy");
  const said = parentElement.querySelector(".said");
  button.textContent = data.label;
  button.onclick = async () => {
    said.textContent = (await copy(address(data.query))) ? "Copied" : "Copy it from the address bar";
    setTimeout(() => (said.textContent = ""), 2500);
  };
}

function address(query) {
  return query === null ? location.href : new URL(`./?${query}`, location.href).href;
}

async function copy(text) {
  if (navigator.clipboard) {
    try {
      await navigator.clipboard.writeText(text);
      return true;
    } catch {
      // not allowed here: select and copy instead
    }
  }
  const field = document.createElement("textarea");
  field.value = text;
  document.body.append(field);
  field.select();
  const copied = document.execCommand("copy");
  field.remove();
  return copied;
}
