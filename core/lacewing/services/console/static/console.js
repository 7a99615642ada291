// Keeps a page up to date: the server says in data-refresh how soon to ask again; 0 is never.
"use strict";
(() => {
  const main = document.getElementById("main");
  let shown = "";

  const delay = () => Number(main.querySelector("[data-refresh]")?.dataset.refresh || 0);
  const atEnd = (box) => box.scrollTop + box.clientHeight >= box.scrollHeight - 4;

  function replace(text) {
    const focused = document.activeElement?.id;
    const boxes = [...main.querySelectorAll("pre[id]")].map((box) => [box.id, atEnd(box), box.scrollTop]);
    main.innerHTML = text;
    for (const [id, end, top] of boxes) {
      const box = document.getElementById(id);
      if (box) box.scrollTop = end ? box.scrollHeight : top;
    }
    if (focused && main.querySelector("#" + CSS.escape(focused))) {
      document.getElementById(focused).focus({ preventScroll: true });
    }
  }

  async function refresh() {
    const selecting = !getSelection().isCollapsed;
    if (!document.hidden && !selecting) {
      try {
        const url = new URL(location.href);
        url.searchParams.set("part", "main");
        const answer = await fetch(url, { cache: "no-store" });
        const text = await answer.text();
        if (answer.ok && text !== shown) replace((shown = text));
        document.body.classList.toggle("stale", !answer.ok);
      } catch {
        document.body.classList.add("stale");
      }
    }
    schedule();
  }

  function schedule() {
    if (delay()) setTimeout(refresh, delay());
  }

  for (const box of main.querySelectorAll("pre.log")) box.scrollTop = box.scrollHeight;
  schedule();
})();
