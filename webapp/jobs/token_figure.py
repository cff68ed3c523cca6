"""The histogram of token lengths, with the chosen longest length as a line."""

from __future__ import annotations

from typing import Any

import numpy as np
import plotly.graph_objects as go

from webapp.jobs.reported_tokens import TokenReport
from webapp.jobs.study_figures import plain

BINS_AT_MOST = 60


def lengths_figure(report: TokenReport) -> dict[str, Any]:
    """Rows by length in tokens, as JSON for the page."""
    lengths = np.array([length for length, _ in report.lengths] or [0])
    rows = np.array([count for _, count in report.lengths] or [0])
    width = max(1, -(-(int(lengths.max()) + 1) // BINS_AT_MOST))
    counts = np.bincount(lengths // width, weights=rows).astype(int)
    starts = np.arange(len(counts)) * width
    words = [f"{start:,}" if width == 1 else f"{start:,} to {start + width - 1:,}" for start in starts.tolist()]
    figure = go.Figure(
        go.Bar(
            x=starts + (width - 1) / 2,
            y=counts,
            width=width * 0.92,
            customdata=words,
            hovertemplate="%{customdata} tokens: %{y:,} rows<extra></extra>",
            marker={"line": {"width": 0}},  # an empty one does not travel, and what has none is not coloured
            meta={"colour": "--trace-1"},
        )
    )
    figure.update_xaxes(title={"text": "Tokens of a row"}, rangemode="tozero")
    figure.update_yaxes(title={"text": "Rows"}, rangemode="tozero")
    if report.max_length <= int(lengths.max()):
        figure.add_vline(x=report.max_length + 0.5, line={"dash": "dash", "width": 1})
        text = f"cut at {report.max_length:,}"
        figure.add_annotation(x=report.max_length + 0.5, text=text, yref="paper", y=1, xanchor="left", showarrow=False)
    return plain(figure)
