"use strict";
(async () => {
  const PRINTED_WIDTH = 680; // pixels of an A4 page within its margins
  const places = [...document.querySelectorAll("[data-figure]")];
  const read = (id) => document.getElementById(id).textContent;
  // A finger that scrolls the page must not zoom a picture instead, and no mouse shows the buttons.
  const touch = matchMedia("(hover: none)").matches;
  const options = {
    responsive: true,
    displaylogo: false,
    displayModeBar: touch ? false : "hover",
    modeBarButtons: [["toImage", "resetScale2d"]],
  };
  const dragmode = touch ? false : "zoom";
  try {
    const packed = Uint8Array.from(atob(read("plotly")), (c) => c.charCodeAt(0));
    const unpacked = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
    const library = document.createElement("script");
    library.textContent = await new Response(unpacked).text();
    document.head.append(library);
    const figures = JSON.parse(read("figures"));
    for (const place of places) {
      const figure = figures[Number(place.dataset.figure)];
      await Plotly.newPlot(place, figure.data, { ...figure.layout, dragmode }, options);
    }
    const resize = (width) => places.forEach((place) => Plotly.relayout(place, { width }));
    addEventListener("beforeprint", () =>
      places.forEach((place) =>
        Plotly.relayout(place, { width: Math.min(place.clientWidth, PRINTED_WIDTH) })));
    addEventListener("afterprint", () => resize(null));
    document.body.dataset.drawn = String(places.length);
  } catch (error) {
    for (const place of places) {
      place.textContent =
        "이 브라우저는 그림을 그리지 못합니다. 2023년 뒤에 나온 Chrome, Edge, Firefox, Safari로 여십시오.";
      place.style.height = "auto";
    }
    throw error;
  }
})();
