// A figure that travels as JSON, in the colours that `css` tells of a name: on pages, and in reports for themselves.

export function coloured(figure, size, css) {
  const data = figure.data.map((trace) => {
    const colour = css(trace.meta?.colour ?? "--axis");
    const painted = { ...trace, line: { ...trace.line, color: colour } };
    if (trace.marker) painted.marker = { ...trace.marker, color: colour, line: { ...trace.marker.line, color: css("--text") } };
    if (trace.meta?.fill) painted.fillcolor = colour;
    for (const name of ["error_x", "error_y"]) if (trace[name]) painted[name] = { ...trace[name], color: colour };
    return painted;
  });
  const { layout } = figure;
  const axis = { gridcolor: css("--grid"), linecolor: css("--axis"), tickcolor: css("--axis") };
  const dressed = (name) => ({ ...layout[name], ...axis, tickfont: { size: 11, color: css("--muted") } });
  const shapes = (layout.shapes ?? []).map((shape) => ({ ...shape, line: { ...shape.line, color: css("--axis") } }));
  const annotations = (layout.annotations ?? []).map((each) => ({ ...each, font: { ...each.font, color: css("--muted") } }));
  return {
    data,
    layout: { ...layout, ...size, shapes, annotations, font: { size: 12, family: css("--font"), color: css("--text") }, xaxis: dressed("xaxis"), yaxis: dressed("yaxis"), uirevision: "keep", hoverlabel: { bgcolor: css("--card"), bordercolor: css("--border"), font: { color: css("--text"), size: 12 } } },
  };
}
