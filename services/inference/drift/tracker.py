"""Watches the features of one version, window by window."""

import datetime
import threading
from collections.abc import Mapping, Sequence

import numpy as np

from services.inference.drift.judgement import judge
from services.inference.drift.measuring import Columns, Feature, Of, Side, measure
from services.inference.drift.model import Watched, Window
from services.inference.drift.options import MAX_FEATURES, Drift
from services.inference.drift.pending import Looked, Pending
from services.inference.drift.profile import Profile, of_column, of_lengths
from services.inference.drift.reference import Reference, Values, of_numbers, of_texts
from services.inference.drift.statistics import Counts
from services.inference.records.model import Answered
from services.inference.records.sampling import OK


class Tracker:
    """One version, its references and the counts of the present window.

    ``observe`` is for the recorder's thread, ``step`` for any one at a time; both take memory that does not depend on
    the number of requests. ``learned`` are references that were kept when earlier requests were what there is to
    compare with; what is learned anew is told by :meth:`take_news`.
    """

    def __init__(
        self,
        model_version: str,
        model_digest: str,
        rules: Drift,
        now: datetime.datetime,
        *,
        batchable: bool,
        profile: Profile | None = None,
        note: str = "",
        columns: Mapping[Side, Mapping[str, Columns]] | None = None,
        learned: Mapping[str, Reference] | None = None,
    ) -> None:
        self.rules = rules
        self.profile = profile
        self._news: dict[str, Reference] = {}
        self._version = model_version, model_digest
        self._batchable = batchable
        self._note = note
        self._columns = columns or {}
        self._learned = dict(learned or {})
        self._pending = Pending(batchable=batchable)
        self._lock = threading.Lock()
        self._features: dict[str, tuple[Feature, str, Reference]] = {}
        self._counts: dict[str, Counts] = {}
        self._learning: dict[str, list[Values]] = {}
        self._left_out: set[str] = set()
        self._since = self._start = now
        self._rows = self._offered = self._window_rows = 0
        self._last: Window | None = None

    def observe(self, answers: Sequence[Answered]) -> None:
        """Look at these answers later, if there are not too many. Failures say nothing."""
        self._pending.offer([each for each in answers if each.result == OK and each.inputs])

    def step(self, now: datetime.datetime) -> Window | None:
        """Count what has come, and judge the window if it is complete."""
        looked, offered = self._pending.take()
        with self._lock:
            self._offered += offered
            self._look(looked)
            long_enough = (now - self._start).total_seconds() >= self.rules.window_s
            if not long_enough or self._window_rows < self.rules.min_rows:
                return None
            return self._judge(now)

    def adopt(self, references: Mapping[str, Reference]) -> None:
        """Compare with these from now on: another process learned them first."""
        with self._lock:
            self._learned.update(references)
            for name, reference in references.items():
                if name in self._features and self._features[name][2] != reference:
                    feature, _, _ = self._features[name]
                    self._begin(feature, self._words(), reference)

    def take_news(self) -> Mapping[str, Reference]:
        """What was learned since somebody asked last."""
        with self._lock:
            news, self._news = self._news, {}
            return news

    def give_back(self, news: Mapping[str, Reference]) -> None:
        """They could not be kept; they are news still."""
        with self._lock:
            self._news = {**news, **self._news}

    def watched(self) -> Watched:
        """What is known now."""
        with self._lock:
            return Watched(
                *self._version,
                self._since,
                self._rows,
                max(self._offered - self._rows, 0),
                tuple(sorted(self._learning)),
                len(self._left_out),
                " ".join(filter(None, [self._note, self._unseen()])),
                self._start,
                self._window_rows,
                self._last,
            )

    @property
    def last(self) -> Window | None:
        """The last complete window."""
        return self._last

    def _unseen(self) -> str:
        """What is to be watched and has not come; empty before anything has."""
        if not self._rows and not self._learning:
            return ""
        known = {*self._features, *self._learning}
        absent = [name for name in self.rules.features if name not in known]
        absent += [
            each.name
            for each in (*self.rules.inputs, *self.rules.outputs)
            if not any(name == each.name or name.startswith((f"{each.name}.", f"{each.name}[")) for name in known)
        ]
        return f"Not seen so far: {', '.join(dict.fromkeys(absent))}." if absent else ""

    def _look(self, looked: Sequence[Looked]) -> None:
        if not looked:
            return
        rows: dict[str, int] = {}
        for side, tensors in (
            (Side.INPUT, [each for each, _ in looked]),
            (Side.PREDICTION, [each for _, each in looked]),
        ):
            for feature, values in measure(tensors, side, self._columns.get(side, {}), batchable=self._batchable):
                if self.rules.watches(feature.name):
                    rows[feature.name] = rows.get(feature.name, 0) + len(values)
                    self._take(feature, values)
        seen = max(rows.values(), default=0)
        self._rows += seen
        if self._counts:  # while everything is learned, the window has not begun
            self._window_rows += seen

    def _take(self, feature: Feature, values: Values) -> None:
        name = feature.name
        if name not in self._features and name not in self._learning:
            if len(self._features) + len(self._learning) >= MAX_FEATURES:
                if len(self._left_out) < MAX_FEATURES:  # names come from callers where an input has no fixed shape
                    self._left_out.add(name)
                return
            if not self._find(feature, isinstance(values, list)):
                self._learning[name] = []
        if name in self._learning:
            self._learn(feature, values)
            return
        counts, reference = self._counts[name], self._features[name][2]
        counts += reference.count(values)

    def _find(self, feature: Feature, texts: bool) -> bool:
        """Whether there is something to compare the feature with: the profile's column, or what was learned before."""
        column = self.profile.columns.get(feature.column) if self.profile is not None and feature.column else None
        reference: Reference | None = None
        if column is not None and feature.of is Of.VALUES:
            reference = of_column(column, texts=texts)
        elif column is not None and feature.of is Of.LENGTHS:
            reference = of_lengths(column)
        if reference is not None and self.profile is not None:
            self._begin(feature, f"{self.profile.source}, column {feature.column}", reference)
            return True
        learned = self._learned.get(feature.name)
        if learned is not None:
            self._begin(feature, self._words(), learned)
        return learned is not None

    def _learn(self, feature: Feature, values: Values) -> None:
        parts = self._learning[feature.name]
        parts.append(values)
        if sum(map(len, parts)) < self.rules.first_rows:
            return
        del self._learning[feature.name]
        reference: Reference
        if isinstance(values, list):
            reference = of_texts([text for part in parts for text in part][: self.rules.first_rows])
        else:
            reference = of_numbers(np.concatenate([np.asarray(part) for part in parts])[: self.rules.first_rows])
        self._news[feature.name] = reference
        self._begin(feature, self._words(), reference)

    def _begin(self, feature: Feature, baseline: str, reference: Reference) -> None:
        self._features[feature.name] = feature, baseline, reference
        self._counts[feature.name] = np.zeros(len(reference.shares), np.int64)

    def _words(self) -> str:
        return f"the first {self.rules.first_rows} rows that the version was asked"

    def _judge(self, now: datetime.datetime) -> Window:
        counted = [(name, counts) for name, counts in sorted(self._counts.items()) if counts.any()]
        found = []
        for name, counts in counted:
            feature, baseline, reference = self._features[name]
            found.append(judge(name, feature.side, baseline, reference, counts, self.rules, len(counted)))
        self._last = Window(self._start, now, self._window_rows, tuple(found))
        for counts in self._counts.values():
            counts[:] = 0
        self._start, self._window_rows = now, 0
        return self._last
