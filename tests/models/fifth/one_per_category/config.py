"""What makes one toy differ from another."""

from pydantic import BaseModel, ConfigDict, Field, PositiveInt

from pansight.merging.settings import MergeSettings


class ToyMergeSettings(MergeSettings):
    """Thresholds of the argmax merge."""

    keep_share: float = Field(default=0.0, ge=0)
    """share of itself that a mask must win"""


class ToyConfig(BaseModel):
    """Width of the one hidden layer, and the merge."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    width: PositiveInt = 8
    merge: ToyMergeSettings = ToyMergeSettings(object_threshold=0.1)
