"""Many image files through a Segmenter and into a writer."""

from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import dataclass

from pansight.runtime.cores import usable_cores
from pansight.runtime.images import read_image
from pansight.runtime.inputs import printable
from pansight.runtime.segmenter import Segmenter
from pansight.runtime.stream import Segmented
from pansight.runtime.writing import Job, MapWriter


@dataclass(frozen=True)
class Outcome:
    """What became of a job: written, or `problem`, one line that names the file.

    `void`: share of the image (0..1) that belongs to no segment.
    """

    job: Job
    problem: str | None = None
    void: float = 0.0


def segment_files(
    segmenter: Segmenter, jobs: Sequence[Job], writer: MapWriter
) -> Generator[Outcome, None, None]:
    """Read, segment and write every job; outcomes come in order, as soon as they are known.

    An image that cannot be read or segmented is an outcome like any other, and spoils no other of its batch.
    What cannot be written ends it all with an InputError: the next would not fit on the disk either. So do
    damaged weights and a device without memory. Ending the iteration waits for the batch in the network
    and for the files being written, no longer.
    """

    def write(result: Segmented[Job]) -> None:
        if result.image is not None and result.panoptic is not None:
            writer.write(result.frame, result.image, result.panoptic)

    results = segmenter.stream(
        jobs,
        read=lambda job: read_image(job.path, max_pixels=segmenter.max_pixels),
        follow=write,
        followers=min(4, usable_cores()),
        name=lambda index, job: printable(job.path),
    )
    with closing(results):
        for result in results:
            void = 0.0
            if result.panoptic is not None:
                area = sum(segment.area for segment in result.panoptic.segments)
                void = 1 - area / result.panoptic.ids.size
            yield Outcome(result.frame, result.problem, void)
