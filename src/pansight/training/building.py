"""The model of a configuration."""

from collections.abc import Callable, Mapping

import torch
from pydantic import BaseModel, ValidationError

from pansight.categories import Categories
from pansight.errors import CheckpointError, InputError
from pansight.merging import MergeSettings
from pansight.models.base import PanopticModel
from pansight.models.preprocess import Preprocess
from pansight.nn.features import Backbone
from pansight.training.class_layers import TakenOver, take_over
from pansight.training.config import ModelChoice, one_line
from pansight.zoo.backbone import IMAGENET_PACKAGES, imagenet_weights, load_backbone
from pansight.zoo.methods import construct, find_method
from pansight.zoo.presets import preset
from pansight.zoo.registry import load_model
from pansight.zoo.strict import compare


def build_model(
    choice: ModelChoice, categories: Categories, say: Callable[[str], object] | None = None
) -> PanopticModel:
    """A model for `categories` with fresh weights, or those that the configuration starts from.

    `say` receives a line on which rows of the class layers were kept where the start has other categories.

    Raises InputError for configuration fields at fault, CheckpointError for weights that do not fit.
    """
    method: str = choice.method
    preprocess = choice.preprocess
    fields: dict[str, object] = {}
    if choice.preset is not None:
        spec = preset(choice.preset)
        method, own = spec.method, spec.config.model_dump()
        if spec.categories != categories:
            own["merge"].update(dict.fromkeys(MergeSettings.by_category, ()))
        fields = own
        preprocess = preprocess or spec.preprocess
    config = _checked(find_method(method).config, _changed(fields, choice.config))
    try:
        model = construct(method, config, categories, preprocess or Preprocess())
    except CheckpointError as error:
        if not isinstance(error.__cause__, ValueError):
            raise
        # a method that cannot do without things, or without stuff
        kinds = ", ".join(f"{one.name} ({_kind(one.is_thing)})" for one in categories)
        raise InputError(
            f"{error.__cause__}; the data's are {kinds}; yoso and epsnet need neither"
        ) from error
    model.preprocess = _scaled(model, given=choice.preprocess, backbone="backbone" in choice.config)
    if choice.backbone is not None:
        load_backbone(model, choice.backbone)
    if choice.start is not None and choice.start.partition(":")[0] in IMAGENET_PACKAGES:
        load_backbone(model, imagenet_weights(choice.start))
    elif choice.start is not None:
        taken = start_from(model, choice.start)
        if taken is not None and say is not None:
            say(taken.line(choice.start))
    return model


def _kind(is_thing: bool) -> str:
    return "thing" if is_thing else "stuff"


def _scaled(model: PanopticModel, given: Preprocess | None, backbone: bool) -> Preprocess:
    """The model's preprocessing, normalised as its backbone expects unless specified."""
    scale = next((one.input_scale for one in model.modules() if isinstance(one, Backbone)), None)
    told = given is not None and given.model_fields_set & {"mean", "std", "channels"}
    if told or not backbone or scale is None:
        return model.preprocess
    return model.preprocess.model_copy(update=scale._asdict())


def start_from(model: PanopticModel, name_or_path: str) -> TakenOver | None:
    """Copy the weights of a model of the zoo or of a file into `model`, which may have other categories.

    Layers that grow with the categories then keep the rows of equal names, and are left unchanged in the
    others; the result says which (None where the categories are the same). Raises CheckpointError when
    the architectures differ in anything else, or the colours that the weights were learned with.
    """
    source = load_model(name_or_path)
    _same_reading(source, model, name_or_path)
    state, taken = source.state_dict(), None
    kinds = [[(one.name, one.is_thing) for one in each.categories] for each in (source, model)]
    if kinds[0] != kinds[1]:
        state, taken = take_over(source, model)
    mismatch = compare(model, state)
    if mismatch:
        raise CheckpointError(f"{name_or_path} has another architecture ({mismatch}); change model.config")
    with torch.no_grad():
        model.load_state_dict(state, strict=False)
    return taken


def _same_reading(source: PanopticModel, model: PanopticModel, name: str) -> None:
    """What shapes do not show: how images are normalised, and which convolutions carry the strides."""
    if source.method != model.method:
        raise CheckpointError(f"{name} is a {source.method}, the model a {model.method}; start from its kind")
    changes = [
        f"model.preprocess.{field}={_written(learned)}"
        for field in ("channels", "mean", "std")
        if (learned := getattr(source.preprocess, field)) != getattr(model.preprocess, field)
    ]
    strides = getattr(source.config, "stride_in_1x1", None)
    if strides != getattr(model.config, "stride_in_1x1", None):
        changes.append(f"model.config.stride_in_1x1={str(strides).lower()}")
    if changes:
        settings = " ".join(f"--set '{change}'" for change in changes)
        raise CheckpointError(
            f"{name} was trained with another normalisation or other strides; add {settings}"
        )


def _written(value: str | tuple[float, ...]) -> str:
    return value if isinstance(value, str) else f"[{', '.join(f'{number:g}' for number in value)}]"


def _changed(fields: Mapping[str, object], changes: Mapping[str, object]) -> dict[str, object]:
    """`fields` with some replaced; of `merge`, which holds several, only those that are named."""
    merge, some = fields.get("merge"), changes.get("merge")
    changed = {**fields, **changes}
    if isinstance(merge, Mapping) and isinstance(some, Mapping):
        changed["merge"] = {**merge, **some}
    return changed


def _checked(kind: type[BaseModel], fields: dict[str, object]) -> BaseModel:
    try:
        return kind.model_validate(fields)
    except ValidationError as error:
        raise InputError(f"model.config: {one_line(error)}") from error
