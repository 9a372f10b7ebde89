"""The model that a configuration asks for."""

from pydantic import ValidationError

from pansight.categories import Categories
from pansight.errors import InputError
from pansight.models.base import PanopticModel
from pansight.models.preprocess import Preprocess
from pansight.models.yoso import YOSO, YOSOConfig
from pansight.training.config import ModelChoice


def build_model(choice: ModelChoice, categories: Categories) -> PanopticModel:
    """A model for `categories` with fresh weights, or those that it is told to start from."""
    fields, preprocess = dict(choice.config), choice.preprocess or Preprocess()
    try:
        config = YOSOConfig(**fields)
    except ValidationError as error:
        raise InputError(f"model.config: {one_line(error)}") from error
    return YOSO(config, categories, preprocess)


def one_line(error: ValidationError) -> str:
    """All that pydantic found, in one line."""
    parts = []
    for problem in error.errors():
        place = ".".join(str(part) for part in problem["loc"])
        parts.append(f"{place}: {problem['msg']}" if place else problem["msg"])
    return "; ".join(parts)
