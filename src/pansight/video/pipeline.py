"""From sources to sinks: decoding, network, tracking, drawing and writing overlap, in bounded memory.

sources -> mixer -> Segmenter.stream -> trackers -> drawing, sinks -> consumer
(a thread each)     (network thread)    (a thread)   (the caller's)
"""

import time
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from typing import TYPE_CHECKING, Any

from pansight.drawing.overlays import overlay
from pansight.errors import InputError, PansightError
from pansight.panoptic import PanopticMap
from pansight.runtime.stream import Segmented
from pansight.video.frames import Frame, SourceEvent
from pansight.video.locations import Location, locate, unique_names
from pansight.video.sinks.base import Sink, TrackedFrame
from pansight.video.sources import Mixer, Source, SourceOptions
from pansight.video.stages import StageTimes
from pansight.video.tracking import Tracker, TrackSettings

if TYPE_CHECKING:
    from pansight.runtime.segmenter import Segmenter

SinkMaker = Callable[[Location, str], Sequence[Sink]]
"""From a source and its name to the sinks of its results."""


class Pipeline:
    """Segments one or more videos, keeps identities if wanted, and feeds sinks.

    Results come as soon as they are ready; those of one source in order. A source that fails ends alone (see
    `sources`); a frame that cannot be used is counted in `failed`.

    Args:
        segmenter: any. Frames of several sources share its batches.
        locations: what `locate` gives.
        track: how identities are kept; None: every frame numbers its own.
        options: how sources are read.
        sinks: makes those of a source.
        on_event: called with every change of a source, from its thread.
    """

    def __init__(
        self,
        segmenter: "Segmenter",
        locations: Sequence[Location],
        *,
        track: TrackSettings | None = None,
        options: SourceOptions | None = None,
        sinks: SinkMaker | None = None,
        on_event: Callable[[SourceEvent], None] | None = None,
    ) -> None:
        self.segmenter = segmenter
        self.names = unique_names(list(locations))
        self.stages = StageTimes()
        self.done = 0
        self.failed = 0
        self.problems: list[str] = []
        options = options or SourceOptions()
        self._mixer = Mixer(list(locations), self.names, options, on_event)
        if any(source.policy == "latest" for source in self.sources):
            # one batch in the network, one frame ready: more would only grow old
            self._mixer.limit(segmenter.batch_size + 1)
        self._trackers = (
            None if track is None else [Tracker(segmenter.categories, track) for _ in self.sources]
        )
        make = sinks or (lambda location, name: ())
        self._sinks = [
            list(make(location, name)) for location, name in zip(locations, self.names, strict=True)
        ]
        self._tracked: dict[int, PanopticMap] = {}

    @property
    def sources(self) -> list[Source]:
        """The sources, with their states, counts and errors."""
        return self._mixer.sources

    def run(self) -> Generator[TrackedFrame, None, None]:
        """Results until all sources have ended; closing it, or Ctrl-C, finishes what sinks have begun."""
        wanted = any(sink.wants_drawing for sinks in self._sinks for sink in sinks)
        stream = self.segmenter.stream(
            self._mixer,
            read=lambda frame: frame,
            follow=self._follow,
            name=lambda index, frame: f"frame {frame.index} of {frame.source}",
            embeddings=self._trackers is not None,
            patient=False,
        )
        try:
            with closing(stream) as results:
                for result in results:
                    panoptic = self._tracked.pop(result.index, None)
                    if panoptic is None:
                        self._fail(result)
                        continue
                    yield self._deliver(result.frame, panoptic, wanted)
        finally:
            self._mixer.close()
            self._close_sinks()

    def stop(self) -> None:
        """End after the frames in flight; may be called from any thread."""
        for source in self.sources:
            source.stop()

    def _follow(self, result: Segmented[Frame]) -> None:
        """In the order of frames, while the network has the next."""
        self._mixer.done()
        panoptic, frame = result.panoptic, result.frame
        if panoptic is None:
            return
        self.stages.add("decode", frame.decode)
        self.stages.add("segment", result.seconds.segment)
        if self._trackers is not None:
            started = time.perf_counter()
            panoptic = self._trackers[frame.stream].update(
                panoptic, result.embeddings, seconds=frame.seconds, image=frame.image
            )
            self.stages.add("track", time.perf_counter() - started)
        self._tracked[result.index] = panoptic

    def _deliver(self, frame: Frame, panoptic: PanopticMap, wanted: bool) -> TrackedFrame:
        started = time.perf_counter()
        drawn = overlay(frame.image, panoptic) if wanted else None
        between = time.perf_counter()
        source = self.sources[frame.stream]
        result = TrackedFrame(frame, panoptic, drawn, time.time() - frame.captured, source.counts.dropped)
        for sink in self._sinks[frame.stream]:
            sink.write(result)
        if wanted:
            self.stages.add("draw", between - started)
        self.stages.add("write", time.perf_counter() - between)
        self.stages.add("latency", time.time() - frame.captured)
        self.done += 1
        return result

    def _fail(self, result: Segmented[Frame]) -> None:
        self.failed += 1
        if len(self.problems) < 20 and result.problem is not None:
            self.problems.append(result.problem)

    def _close_sinks(self) -> None:
        """Close all, whatever one of them says; the first error is raised."""
        first: PansightError | None = None
        for sinks in self._sinks:
            for sink in sinks:
                try:
                    sink.close()
                except PansightError as error:
                    first = first or error
        if first is not None:
            raise first


def track(
    segmenter: "Segmenter",
    videos: Any,
    settings: TrackSettings | None = None,
    options: SourceOptions | None = None,
    on_event: Callable[[SourceEvent], None] | None = None,
) -> Generator[TrackedFrame, None, None]:
    """See `Segmenter.track`."""
    given = list(videos) if isinstance(videos, list | tuple) else [videos]
    locations = [locate(str(one)) for one in given]
    pipeline = Pipeline(
        segmenter, locations, track=settings or TrackSettings(), options=options, on_event=on_event
    )
    with closing(pipeline.run()) as results:
        yield from results
    errors = [source.error for source in pipeline.sources if source.error is not None]
    if errors:
        raise errors[0]
    if not pipeline.done and pipeline.problems:
        raise InputError(pipeline.problems[0])
