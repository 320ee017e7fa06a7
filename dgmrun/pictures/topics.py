"""Topics as the words that they raise most: a panel of bars for each, and lines of text."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from operator import itemgetter
from typing import NamedTuple

from matplotlib import rc_context

from dgmrun.pictures.drawing import DPI, STYLE, Picture
from dgmrun.report.terminal import plain

COLUMNS, MOST = 5, 20
"""Number of panels in a row, and of topics that are shown at most."""


class Words(NamedTuple):
    """A topic.

    Args:
        topic: its number, from 1.
        share: share of documents that have it.
        words: the words that it raises most, in order.
        nats: by how much, as `Topical` says.
    """

    topic: int
    share: float
    words: Sequence[str]
    nats: Sequence[float]


@rc_context(STYLE)
def bars(topics: Sequence[Words]) -> Picture:
    """Plots the words of the first topics; the numbers of the picture are of all."""
    shown, high = topics[:MOST], max(len(topic.words) for topic in topics)
    widest = max((topic.nats[0] for topic in shown if topic.nats), default=1.0)
    rows = -(-len(shown) // COLUMNS)
    figure = Picture(figsize=(2.6 * min(COLUMNS, len(shown)), rows * (0.2 * high + 0.7)), dpi=DPI, layout="constrained")
    every = figure.subplots(rows, min(COLUMNS, len(shown)), squeeze=False).flat
    for axes, topic in zip(every, shown, strict=False):
        places = range(len(topic.words))
        axes.barh(places, topic.nats, color="0.8")
        for place, word in zip(places, topic.words, strict=True):
            axes.text(0, place, f" {plain(word)}", va="center")
        axes.set(xlim=(0, widest), ylim=(high - 0.5, -0.5))
        axes.set_title(f"topic {topic.topic}: {topic.share:.0%}")
    for axes in every:
        axes.set_axis_off()
    for axes in figure.axes:
        axes.set(xticks=[], yticks=[])
    told = f"bars: p log(p / p without a topic) of each word; a panel is {widest:.2g} nats wide"
    figure.supxlabel(f"{told}\nabove: share of documents with the topic")
    numbers = [
        (topic.topic, topic.share, rank, *pair)
        for topic in topics
        for rank, pair in enumerate(zip(topic.words, topic.nats, strict=True), 1)
    ]
    figure.data = dict(zip(("topic", "share", "rank", "word", "nats"), zip(*numbers, strict=True), strict=True))
    return figure


def lines(picture: Picture) -> list[str]:
    """Returns the words of all topics of a picture, a line for each."""
    told = zip(*(picture.data[name] for name in ("topic", "share", "word")), strict=True)
    groups = groupby(told, key=itemgetter(0, 1))
    return [
        plain(f"{f'topic {topic}':11} {share:4.0%}  {' '.join(word for *_, word in rows)}")
        for (topic, share), rows in groups
    ]
