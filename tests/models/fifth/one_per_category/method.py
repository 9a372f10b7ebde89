"""What the rest of the library knows of the toy."""

from one_per_category.config import ToyConfig
from pansight.categories import Categories
from pansight.models.method import Method
from pansight.models.preprocess import Preprocess
from pansight.models.spec import ModelSpec


def toy_presets() -> tuple[ModelSpec, ...]:
    """One, for scenes."""
    return (
        ModelSpec(
            name="toy-scenes",
            method="one_per_category",
            config=ToyConfig(width=4),
            categories=Categories.builtin("scenes"),
            preprocess=Preprocess(divisor=4),
            description="a toy; no weights are published",
        ),
    )


METHOD = Method(
    name="one_per_category",
    model="one_per_category.model:Toy",
    config=ToyConfig,
    presets=toy_presets,
    whole_any_size=True,
)
