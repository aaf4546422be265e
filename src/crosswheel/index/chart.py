"""Draw where a batch stands as an SVG that lies in the page: its colours are the page's, light or dark."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from markupsafe import Markup, escape

from crosswheel.index.batches import OUTCOMES, Batch, LineOutcome, Moment

_WIDTH, _HEIGHT = 720, 240
_LEFT, _RIGHT, _TOP, _BOTTOM = 44, 8, 10, 28
_TICKS = 4


def batch_chart(batch: Batch) -> Markup:
    """Return a chart of how many lines were built, taken and failed over time; nothing before two lines have ended."""
    moments = batch.moments
    if len(moments) < 2 or moments[0].when >= moments[-1].when:
        return Markup("")
    began, span = moments[0].when, (moments[-1].when - moments[0].when).total_seconds()
    across = [(moment.when - began).total_seconds() / span for moment in moments]
    heights = [[0.0] * len(moments)]
    parts = []
    for outcome in OUTCOMES:
        top = [below + moment.counts.get(outcome, 0) for below, moment in zip(heights[-1], moments)]
        parts.append(_area(outcome, across, heights[-1], top, batch.asked))
        heights.append(top)
    title = (
        f"How many of {batch.asked} lines for {batch.target} had ended, over time: {_in_words(moments[-1])}"
    )
    return Markup(
        f'<svg class="chart" role="img" viewBox="0 0 {_WIDTH} {_HEIGHT}" xmlns="http://www.w3.org/2000/svg">'
        f"<title>{escape(title)}</title>{_axes(batch.asked, span)}{''.join(parts)}</svg>"
    )


def _in_words(moment: Moment) -> str:
    return ", ".join(f"{moment.counts.get(outcome, 0)} {outcome}" for outcome in OUTCOMES)


def _area(
    outcome: LineOutcome, across: Sequence[float], lower: Sequence[float], upper: Sequence[float], most: int
) -> str:
    there = [_point(*at, most) for at in zip(across, upper)]
    back = [_point(*at, most) for at in zip(across, lower)]
    return f'<path class="{outcome}" d="M{" ".join([*there, *reversed(back)])}Z"/>'


def _point(across: float, lines: float, most: int) -> str:
    x = _LEFT + across * (_WIDTH - _LEFT - _RIGHT)
    return f"{x:.1f},{_y(lines, most):.1f}"


def _y(lines: float, most: int) -> float:
    return _HEIGHT - _BOTTOM - lines / most * (_HEIGHT - _TOP - _BOTTOM)


def _axes(most: int, span: float) -> str:
    marks = []
    for lines in sorted({round(most * number / _TICKS) for number in range(_TICKS + 1)}):
        y = _y(lines, most)
        marks.append(f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        marks.append(f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{lines}</text>')
    for number, anchor in ((0, "start"), (_TICKS // 2, "middle"), (_TICKS, "end")):
        x = _LEFT + number / _TICKS * (_WIDTH - _LEFT - _RIGHT)
        text = _after(span * number / _TICKS)
        marks.append(f'<text x="{x:.1f}" y="{_HEIGHT - 8}" text-anchor="{anchor}">{text}</text>')
    return "".join(marks)


def _after(seconds: float) -> str:
    """Return a time since the first result, such as ``1:02:40``."""
    return str(timedelta(seconds=round(seconds)))
