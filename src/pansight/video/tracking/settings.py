"""How identities are kept: by which cues, with which weights, and for how long."""

from typing import Literal, TypeAlias, get_args

from pydantic import BaseModel, ConfigDict, Field, field_validator

Cue: TypeAlias = Literal["iou", "embedding", "motion"]
"""What tells that two segments are one object: their masks overlap; their kernels (or queries, coefficients)
point the same way; the object is where it was going to be."""

CUES: tuple[Cue, ...] = get_args(Cue)


class TrackSettings(BaseModel):
    """Settings of a `Tracker`. Shares and similarities are 0..1, times seconds.

    `cues`: what is compared; none: every frame numbers its own. `weights`: of each in the affinity, which is
    their weighted mean over those that a pair has. A pair is considered at all if their categories agree (or
    their masks overlap by `other_category`) and one cue is strong enough: mask IoU of `least_iou`, embedding
    similarity of `least_similarity` within `reach` sizes of the object, or IoU of the predicted box of
    `least_box`; and it is rejected if its affinity is below `least`, which `gates` replaces by category name.

    `memory`: how long a track that is not seen is remembered. `birth_score`: segments that score less start
    no track, and are void unless they continue one. `keep_category`: a track's category is what most of its
    frames say, weighted by score, not each frame's own. `steady`: frames for which a pixel keeps its segment
    although the map says otherwise, while the image there does not change; 0: never. `stride`: of the grid on
    which masks are compared, in pixels; 0: chosen by the size, about 25 000 points.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    cues: tuple[Cue, ...] = CUES
    weights: dict[Cue, float] = Field(default={"iou": 1.0, "embedding": 0.5, "motion": 0.5})
    least: float = Field(default=0.2, ge=0, le=1)
    gates: dict[str, float] = Field(default_factory=dict)
    least_iou: float = Field(default=0.1, ge=0, le=1)
    least_box: float = Field(default=0.1, ge=0, le=1)
    least_similarity: float = Field(default=0.5, ge=0, le=1)
    reach: float = Field(default=1.5, gt=0)
    other_category: float = Field(default=0.6, ge=0, le=1)
    memory: float = Field(default=2.0, ge=0)
    birth_score: float = Field(default=0.0, ge=0, le=1)
    keep_category: bool = True
    steady: int = Field(default=2, ge=0, le=250)
    stride: int = Field(default=0, ge=0)

    @field_validator("cues")
    @classmethod
    def _once(cls, cues: tuple[Cue, ...]) -> tuple[Cue, ...]:
        return tuple(dict.fromkeys(cues))
