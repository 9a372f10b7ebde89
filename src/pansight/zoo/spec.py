"""What is known of a model before it is built: see `pansight.models.spec`, where methods' presets find it."""

from pansight.models.spec import Figure, ModelSpec, ReleasedFile

__all__ = ["Figure", "ModelSpec", "ReleasedFile"]
