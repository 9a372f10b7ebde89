"""Persistent identities: each frame's panoptic map gets the ids of the objects seen before."""

from dataclasses import replace

import numpy as np
from jaxtyping import Bool, Float, Float64, Int32, Int64, UInt8

from pansight.categories import Categories
from pansight.errors import CategoryError, InputError
from pansight.panoptic import PanopticMap, Segment
from pansight.panoptic.ids import ID_LIMIT
from pansight.video.tracking.assignment import assign
from pansight.video.tracking.embedding import CommonPart, similarity
from pansight.video.tracking.motion import box_iou, predicted, within_reach
from pansight.video.tracking.overlap import Masks, mask_iou, on_grid, stride_of
from pansight.video.tracking.settings import TrackSettings
from pansight.video.tracking.smoothing import SteadyOutlines
from pansight.video.tracking.tracks import Observed, Tracks

_RATE = 25.0
"""Frames per second where a frame's time is not given."""

_LONG = 0.3
"""Seconds unseen after which an object may be anywhere within four times its reach."""


class Tracker:
    """Gives the maps of one stream, frame after frame, persistent ids.

    Stuff of one category is always one segment: its id is 1 + its contiguous index. Things are numbered
    from there on; an id is not reused until long after its object was last seen. A new object has its id from
    the first frame on: waiting for confirmation would cost more than an occasional false track.

    Works for every method, without training. Costs a joint histogram of about 25 000 points, an assignment
    and one look-up of the map; only building the rows loops over segments.

        tracker = Tracker(segmenter.categories)
        for image in video:
            panoptic = tracker.update(segmenter(image), image=image)

    Raises CategoryError for gates of unknown categories.
    """

    def __init__(self, categories: Categories, settings: TrackSettings | None = None) -> None:
        self.categories = categories
        self.settings = settings or TrackSettings()
        self._gates = np.full(len(categories), self.settings.least)
        for name, value in self.settings.gates.items():
            if not 0 <= value <= 1:
                raise InputError(f"gate {value} of {name} is out of range; use 0 to 1")
            self._gates[categories.index(name)] = value
        self._next = self._first = len(categories) + 1
        self._common = CommonPart()
        self._outlines = SteadyOutlines(self.settings.steady)
        self._tracks = Tracks.none(len(categories), 0)
        self._now: float | None = None
        self._size: tuple[int, int] | None = None
        self.born = 0
        self.lost = 0

    @property
    def active(self) -> int:
        """Tracks in memory."""
        return len(self._tracks)

    def update(
        self,
        panoptic: PanopticMap,
        embeddings: Float[np.ndarray, "s d"] | None = None,
        *,
        seconds: float | None = None,
        image: UInt8[np.ndarray, "h w 3"] | None = None,
    ) -> PanopticMap:
        """The map of the next frame with persistent ids, and with persistent categories if the settings ask
        for them.

        Args:
            embeddings: one per segment, in their order; all zeros where a segment has none.
            seconds: when the frame was, on any clock that does not run backwards; None: 1/25 s later.
            image: the frame, used to keep outlines steady.

        Raises CategoryError when the map has other categories than the tracker.
        """
        if panoptic.categories is not self.categories and panoptic.categories != self.categories:
            raise CategoryError(
                f"a map of {panoptic.categories.name} cannot be tracked among {self.categories.name}; "
                "make a tracker of its categories"
            )
        now = self._time(seconds)
        if self._size != panoptic.ids.shape:
            # another size: places mean something else; what things look like still holds
            self._size = (panoptic.height, panoptic.width)
            self._tracks = replace(self._tracks, masks=Masks.none())
        segments = panoptic.segments
        categories = np.array([segment.category for segment in segments], np.int64)
        is_thing = self.categories.is_thing[categories] if len(segments) else np.zeros(0, np.bool_)
        places = np.flatnonzero(is_thing)
        observed = self._observe(panoptic, places, embeddings)
        rows = self._grid(panoptic, places)
        track_of = self._follow(observed, rows, now)
        self._remember(rows, track_of)
        ids = np.where(is_thing, 0, categories + 1)
        seen = track_of >= 0
        ids[places[seen]] = self._tracks.ids[track_of[seen]]
        if self.settings.keep_category:
            categories[places[seen]] = self._tracks.categories[track_of[seen]]
        result = self._named(panoptic, ids, categories)
        self._forget(now)
        if self.settings.steady and image is not None and image.shape[:2] == result.ids.shape:
            present = np.array([segment.id for segment in result.segments], np.int64)
            shown = self._outlines.apply(result.ids, image, present)
            if shown is not result.ids:
                table = [(s.id, s.category, s.score, s.is_crowd) for s in result.segments]
                result = PanopticMap.from_table(shown, table, self.categories)
        return result

    def _time(self, seconds: float | None) -> float:
        before = self._now
        if before is None:
            self._now = 0.0 if seconds is None else seconds
        elif seconds is None:
            self._now = before + 1 / _RATE
        else:
            self._now = max(before, seconds)
        return self._now

    def _observe(
        self, panoptic: PanopticMap, places: Int64[np.ndarray, "m"], embeddings: np.ndarray | None
    ) -> Observed:
        things = [panoptic.segments[place] for place in places.tolist()]
        boxes = np.array([one.box for one in things], np.float64).reshape(-1, 4)
        boxes[:, :2] += boxes[:, 2:] / 2
        if embeddings is not None and len(embeddings) != len(panoptic.segments):
            raise InputError(
                f"{len(embeddings)} embeddings for {len(panoptic.segments)} segments; give one each"
            )
        if embeddings is None or "embedding" not in self.settings.cues:
            own = np.zeros((len(things), self._tracks.embeddings.shape[1]))
        else:
            own = self._common.removed(np.asarray(embeddings, np.float64)[places])
        return Observed(
            np.array([one.category for one in things], np.int64),
            np.array([1.0 if one.score is None else one.score for one in things], np.float64),
            boxes,
            own,
        )

    def _grid(self, panoptic: PanopticMap, places: Int64[np.ndarray, "m"]) -> Int32[np.ndarray, "gh gw"]:
        """The number of a thing among `places` at each grid point, -1 where there is none."""
        stride = self._stride()
        top = max((segment.id for segment in panoptic.segments), default=0)
        table = np.full(top + 1, -1, np.int32)
        table[[panoptic.segments[place].id for place in places.tolist()]] = np.arange(len(places))
        return table[on_grid(panoptic.ids, stride)]

    def _stride(self) -> int:
        assert self._size is not None
        return self.settings.stride or stride_of(*self._size)

    def _follow(
        self, observed: Observed, rows: Int32[np.ndarray, "gh gw"], now: float
    ) -> Int64[np.ndarray, "m"]:
        """The track of each thing, new ones among them; -1 where it has none."""
        tracks = self._tracks.widened(observed.embeddings.shape[1])
        found = np.full(len(observed.categories), -1, np.int64)
        if self.settings.cues and len(tracks) and len(found):
            affinity, allowed = self._compare(tracks, observed, rows, now)
            matched, columns = assign(affinity, allowed)
            tracks = tracks.updated(matched, columns, observed, now)
            found[columns] = matched
        fresh = np.flatnonzero((found < 0) & (observed.scores >= self.settings.birth_score))
        found[fresh] = len(tracks) + np.arange(len(fresh))
        self._tracks = tracks.born(self._numbers(len(fresh)), fresh, observed, now)
        self.born += len(fresh)
        return found

    def _compare(
        self, tracks: Tracks, observed: Observed, rows: Int32[np.ndarray, "gh gw"], now: float
    ) -> tuple[Float64[np.ndarray, "n m"], Bool[np.ndarray, "n m"]]:
        """Affinity of each track and segment, 0..1, and whether they may be one at all."""
        settings = self.settings
        assert self._size is not None
        unseen = now - tracks.seen
        boxes = predicted(tracks.boxes, tracks.velocities, unseen, self._size)
        total = np.zeros((len(tracks), len(observed.categories)))
        weight = np.zeros_like(total)
        sure = np.zeros(total.shape, np.bool_)
        overlapping = np.zeros(total.shape, np.bool_)
        if "iou" in settings.cues:
            moves = "motion" in settings.cues
            shifts = (boxes - tracks.boxes)[:, :2] / self._stride() * moves
            iou = mask_iou(tracks.masks, shifts, rows, total.shape[1])
            total += settings.weights.get("iou", 0) * iou
            weight += settings.weights.get("iou", 0)
            sure |= iou >= settings.least_iou
            overlapping |= iou >= settings.other_category
        if "motion" in settings.cues:
            near = box_iou(boxes, observed.boxes)
            total += settings.weights.get("motion", 0) * near
            weight += settings.weights.get("motion", 0)
            sure |= near >= settings.least_box
        if "embedding" in settings.cues:
            alike = similarity(tracks.embeddings, observed.embeddings)
            known = ~np.isnan(alike)
            total += settings.weights.get("embedding", 0) * np.where(known, alike, 0)
            weight += settings.weights.get("embedding", 0) * known
            reach = settings.reach * (1 + 3 * np.minimum(unseen / _LONG, 1) * (unseen > 2 / _RATE))
            sure |= known & (alike >= settings.least_similarity) & within_reach(boxes, observed.boxes, reach)
            # who was out of sight is not where it was: what it looks like decides alone
            away = known & (unseen > _LONG)[:, None]
            total, weight = np.where(away, np.nan_to_num(alike), total), np.where(away, 1.0, weight)
        affinity = np.divide(total, weight, out=np.zeros_like(total), where=weight > 0)
        agree = tracks.categories[:, None] == observed.categories[None]
        gate = self._gates[tracks.categories][:, None]
        return affinity, (agree | overlapping) & sure & (affinity >= gate)

    def _numbers(self, count: int) -> Int64[np.ndarray, "k"]:
        """New ids; after 2^24 they begin again, leaving out those that are remembered."""
        if self._next + count <= ID_LIMIT:
            numbers = np.arange(self._next, self._next + count)
            self._next += count
            return numbers.astype(np.int64)
        taken = set(self._tracks.ids.tolist())
        found: list[int] = []
        while len(found) < count:
            self._next = self._next + 1 if self._next + 1 < ID_LIMIT else self._first
            if self._next not in taken:
                found.append(self._next)
        return np.array(found, np.int64)

    def _remember(self, rows: Int32[np.ndarray, "gh gw"], track_of: Int64[np.ndarray, "m"]) -> None:
        """Masks of what was seen replace those from before; the others keep theirs."""
        fresh = np.arange(len(self._tracks))
        fresh[track_of[track_of >= 0]] = -1
        lookup = np.append(track_of, -1)
        masks = self._tracks.masks.kept(fresh) + Masks.of(lookup[rows])
        self._tracks = replace(self._tracks, masks=masks)

    def _forget(self, now: float) -> None:
        keep = now - self._tracks.seen <= self.settings.memory
        if not self.settings.cues:
            keep[:] = False
        self.lost += int((~keep).sum())
        self._tracks = self._tracks.where(keep)

    def _named(
        self, panoptic: PanopticMap, ids: Int64[np.ndarray, "s"], categories: Int64[np.ndarray, "s"]
    ) -> PanopticMap:
        """The map under its new ids; segments that get the same id become one, those of id 0 void."""
        new = panoptic.paint(ids.tolist())
        shown = ids[ids > 0]
        if len(np.unique(shown)) == len(panoptic.segments):
            segments = tuple(
                Segment(id, category, old.area, old.box, old.score, old.is_crowd)
                for id, category, old in zip(
                    ids.tolist(), categories.tolist(), panoptic.segments, strict=True
                )
            )
            return PanopticMap.trusted(new, segments, self.categories)
        rows = {
            id: (id, category, old.score, old.is_crowd)
            for id, category, old in zip(ids.tolist(), categories.tolist(), panoptic.segments, strict=True)
            if id
        }
        return PanopticMap.from_table(new, list(rows.values()), self.categories)
