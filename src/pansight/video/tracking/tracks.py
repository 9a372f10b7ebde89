"""What is known of the objects of a stream: one row a track, in arrays."""

from dataclasses import dataclass, fields, replace

import numpy as np
from jaxtyping import Bool, Float64, Int64

from pansight.video.tracking.embedding import blended
from pansight.video.tracking.motion import velocity
from pansight.video.tracking.overlap import Masks


@dataclass(frozen=True)
class Observed:
    """The things of one frame, m of them; boxes as centre x, centre y, width, height in pixels."""

    categories: Int64[np.ndarray, "m"]
    scores: Float64[np.ndarray, "m"]
    boxes: Float64[np.ndarray, "m 4"]
    embeddings: Float64[np.ndarray, "m d"]


@dataclass(frozen=True)
class Tracks:
    """n tracks that are remembered; `masks` are those of when each was last seen.

    `votes` [n, c]: by category, the sum of the scores of the frames that said so. `seen`: seconds.
    `velocities`: pixels a second, x and y.
    """

    ids: Int64[np.ndarray, "n"]
    votes: Float64[np.ndarray, "n c"]
    boxes: Float64[np.ndarray, "n 4"]
    velocities: Float64[np.ndarray, "n 2"]
    embeddings: Float64[np.ndarray, "n d"]
    seen: Float64[np.ndarray, "n"]
    hits: Int64[np.ndarray, "n"]
    masks: Masks

    @classmethod
    def none(cls, categories: int, dimensions: int) -> "Tracks":
        return cls(
            np.zeros(0, np.int64),
            np.zeros((0, categories)),
            np.zeros((0, 4)),
            np.zeros((0, 2)),
            np.zeros((0, dimensions)),
            np.zeros(0),
            np.zeros(0, np.int64),
            Masks.none(),
        )

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def categories(self) -> Int64[np.ndarray, "n"]:
        """What most of the frames say of each."""
        if not len(self):
            return np.zeros(0, np.int64)
        return self.votes.argmax(1).astype(np.int64)

    def where(self, keep: Bool[np.ndarray, "n"]) -> "Tracks":
        """Some of them."""
        if keep.all():
            return self
        fresh = np.where(keep, keep.cumsum() - 1, -1)
        rows = {one.name: getattr(self, one.name)[keep] for one in fields(self) if one.name != "masks"}
        return Tracks(**rows, masks=self.masks.kept(fresh))

    def widened(self, dimensions: int) -> "Tracks":
        """The same with embeddings of that many dimensions; those of another number are forgotten."""
        if self.embeddings.shape[1] == dimensions:
            return self
        return replace(self, embeddings=np.zeros((len(self), dimensions)))

    def updated(
        self,
        rows: Int64[np.ndarray, "k"],
        columns: Int64[np.ndarray, "k"],
        observed: Observed,
        now: float,
    ) -> "Tracks":
        """After tracks `rows` were seen again as segments `columns`; their masks are not touched."""
        votes, boxes, velocities = self.votes.copy(), self.boxes.copy(), self.velocities.copy()
        embeddings, seen, hits = self.embeddings.copy(), self.seen.copy(), self.hits.copy()
        votes[rows, observed.categories[columns]] += observed.scores[columns]
        found = observed.boxes[columns]
        velocities[rows] = velocity(
            self.velocities[rows],
            found[:, :2] - self.boxes[rows, :2],
            now - self.seen[rows],
            self.hits[rows] < 2,
        )
        boxes[rows] = found
        embeddings[rows] = blended(self.embeddings[rows], observed.embeddings[columns])
        seen[rows] = now
        hits[rows] += 1
        return Tracks(self.ids, votes, boxes, velocities, embeddings, seen, hits, self.masks)

    def born(
        self, ids: Int64[np.ndarray, "k"], columns: Int64[np.ndarray, "k"], observed: Observed, now: float
    ) -> "Tracks":
        """With new tracks for segments `columns`; they have no masks yet."""
        count = len(ids)
        votes = np.zeros((count, self.votes.shape[1]))
        votes[np.arange(count), observed.categories[columns]] = observed.scores[columns]
        return Tracks(
            np.concatenate((self.ids, ids)),
            np.concatenate((self.votes, votes)),
            np.concatenate((self.boxes, observed.boxes[columns])),
            np.concatenate((self.velocities, np.zeros((count, 2)))),
            np.concatenate((self.embeddings, observed.embeddings[columns])),
            np.concatenate((self.seen, np.full(count, now))),
            np.concatenate((self.hits, np.ones(count, np.int64))),
            self.masks,
        )
