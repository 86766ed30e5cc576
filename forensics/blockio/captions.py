"""What the pictures of a trace are called, apart from what draws them."""

from __future__ import annotations

from collections.abc import Mapping

TITLES: Mapping[str, tuple[str, str]] = {
    "block-io-offsets": ("Where on the disk, by process", "Every request at its time and its place on the disk"),
    "block-io-throughput": ("How much, and how often", "MiB and requests completed a second, read and written"),
    "block-io-latency": ("How long each request took", "Time from queue to completion of every request"),
    "block-io-latency-heat": ("How many took how long", "Requests by time and by their latency, as a heat map"),
    "block-io-seeks": ("How far the disk had to go", "Seeks a second, and the distance of each"),
    "block-io-depth": ("How much was with the disk", "Requests that were issued and not completed"),
}
"""By a picture's name without ending, in the order in which they are read: title, and words for who cannot see it."""
COMPARED: Mapping[str, tuple[str, str]] = {
    "compare-latency": (
        "What part was done in what time",
        "Share of requests by their latency, one line a capture",
    ),
    "compare-throughput": ("How much, and how often", "MiB and requests completed a second, one line a capture"),
    "compare-offsets": ("Where on the disk, by process", "Requests by time and place, one panel a capture"),
}
MOST = 6
"""Captures that are compared: as many as there are colours that everybody can tell apart."""
SUFFIXES = (".webp", ".gif")
"""What a movie of the disk is written as."""
