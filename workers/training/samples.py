"""What one row becomes: token ids and the labels that the loss looks at."""

from __future__ import annotations

from dataclasses import dataclass

IGNORED = -100
"""Label of a token that the loss does not look at."""


@dataclass(frozen=True)
class Sample:
    """One row as numbers. For a causal LM `labels` is as long as `input_ids`; for classification it is one class.

    For an encoder-decoder `labels` are the target's ids, and `decoder_ids` what the decoder reads to predict them.
    """

    input_ids: list[int]
    labels: list[int]
    token_types: list[int] | None = None
    """0 and 1 for the first and second text of a pair, where the network tells them apart."""
    cut: int = 0
    """Tokens that did not fit, of an encoder-decoder on both sides."""
    cut_target: int = 0
    """Those of them that stood in the target of an encoder-decoder."""
    decoder_ids: list[int] | None = None
    """The target moved one place to the right, behind the start token."""
    is_class: bool = False
    """The one label is a class, also where the text is a single token."""
    remark: str = ""
    """Something about this row that a person should know; rows with the same remark are counted together."""

    @property
    def supervised(self) -> int:
        """Labels that the loss looks at; the first token of a text is never predicted."""
        if self.decoder_ids is not None:
            return len(self.labels)
        if self.is_class:
            return 1
        return sum(label != IGNORED for label in self.labels[1:])

    @property
    def length(self) -> int:
        """As it was before the cut, and what `max_length` is held against: of an encoder-decoder the longer side."""
        read = len(self.input_ids) + self.cut - self.cut_target
        return max(read, len(self.labels) + self.cut_target) if self.decoder_ids is not None else read

    @property
    def tokens(self) -> int:
        """All that the network reads."""
        return len(self.input_ids) + len(self.decoder_ids or ())


def fitted(input_ids: list[int], labels: list[int], max_length: int, keep_first: bool, remark: str = "") -> Sample:
    """Cut to `max_length`: first what lies before the last supervised stretch, from its left, then the right end.

    `keep_first`: the first token opens every text of this base model and stays.
    """
    overflow = len(input_ids) - max_length
    if overflow <= 0:
        return Sample(input_ids, labels, remark=remark)
    first = 1 if keep_first else 0
    from_left = min(overflow, max(0, _last_stretch(labels) - first))
    keep = [*range(first), *range(first + from_left, len(input_ids))][:max_length]
    return Sample([input_ids[i] for i in keep], [labels[i] for i in keep], cut=overflow, remark=remark)


def _last_stretch(labels: list[int]) -> int:
    """Where the last run of supervised labels begins; 0 if everything or nothing is supervised."""
    position = len(labels)
    while position and labels[position - 1] == IGNORED:
        position -= 1
    while position and labels[position - 1] != IGNORED:
        position -= 1
    return position
