(() => {
  "use strict";
  // the colours: as the system has them, or chosen here; kept where the browser allows it
  const button = document.getElementById("theme");
  const names = { "": "as the system", light: "light", dark: "dark" };
  const order = ["", "light", "dark"];
  let chosen = "";
  try { chosen = localStorage.getItem("transrec-theme") || ""; } catch { /* a file may have no storage */ }
  const show = () => {
    if (chosen) document.documentElement.dataset.theme = chosen;
    else delete document.documentElement.dataset.theme;
    button.textContent = "Colours: " + names[chosen];
  };
  if (!(chosen in names)) chosen = "";
  button.hidden = false;
  button.addEventListener("click", () => {
    chosen = order[(order.indexOf(chosen) + 1) % order.length];
    try { localStorage.setItem("transrec-theme", chosen); } catch { /* see above */ }
    show();
  });
  show();

  // the maps: what is pointed at, tapped, or walked to is told below, since phones and keyboards do not hover
  for (const map of document.querySelectorAll("svg.map")) {
    const told = map.parentElement.querySelector(".pointed");
    const dots = [...map.querySelectorAll("circle")];
    const across = [...dots].sort((one, other) => one.cx.baseVal.value - other.cx.baseVal.value);
    let on = null;
    const point = (dot) => {
      if (on) on.classList.remove("on");
      on = dot;
      on.classList.add("on");
      told.textContent = on.querySelector("title").textContent;
    };
    for (const kind of ["pointerover", "click"]) {
      map.addEventListener(kind, (event) => { if (event.target.tagName === "circle") point(event.target); });
    }
    map.addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
      if (!step || !across.length) return;
      event.preventDefault();
      point(across[(across.indexOf(on) + step + across.length) % across.length]);
    });
  }

  // what is folded is printed, too
  addEventListener("beforeprint", () => document.querySelectorAll("details").forEach((part) => { part.open = true; }));
})();
