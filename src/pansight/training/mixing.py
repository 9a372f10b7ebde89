"""The mixture of data sets that a configuration names."""

from collections.abc import Sequence
from pathlib import Path

from pansight.categories import Categories, read_categories
from pansight.data.class_maps import class_map, correspond, read_class_map
from pansight.data.labelling import find_labelling, read_labelling
from pansight.data.mixture import ENDLESS, Joint, Member, Mixture
from pansight.data.opening import PanopticDataset, has_split, open_dataset
from pansight.errors import DataError
from pansight.panoptic.labelling import Labelling
from pansight.scenes import HELD_OUT_SCENES, SceneDataset
from pansight.training.config import MixtureData, MixtureSet

SCENES = "scenes"


def open_mixture(data: MixtureData, seed: int, limit: int = 0) -> tuple[Mixture, Joint | None]:
    """Samples to train on, and to validate with (at most `limit`, 0: all), from the sets that have a split.

    Raises DataError when a set cannot be read, DataProblemsError when its categories do not fit.
    """
    _look_for_sets(data)
    categories = _categories(data)
    training = [_member(one, data, categories, seed, validating=False) for one in data.sets]
    mixture = Mixture([one for one in training if one is not None], categories, seed)
    validation = [_member(one, data, categories, seed, validating=True) for one in data.sets]
    members = [one for one in validation if one is not None]
    # What keeps a set from being read, such as a wrong folder, shows before the model is built.
    for member in (*mixture.members, *members):
        if len(member):
            member.sample(0, categories)
    return mixture, Joint(members, categories, limit) if members else None


def _look_for_sets(data: MixtureData) -> None:
    """Raise DataError where the folder holds none of the sets: it is a data set itself, or another folder."""
    folders = [one.folder for one in data.sets if one.folder is not None]
    if not folders or any(_folder(one, data).exists() for one in data.sets if one.folder is not None):
        return
    named = ", ".join(map(str, folders[:3])) + (" ..." if len(folders) > 3 else "")
    if data.folder is None:
        raise DataError(f"there is no {folders[0]} here; give --data FOLDER, which holds {named}")
    if not data.folder.exists():
        raise DataError(f"{data.folder}: no such folder; name the one that holds {named}")
    raise DataError(
        f"{data.folder} has none of the mixture's sets ({named}); name the folder that holds them, or, for "
        "one data set, use another recipe or --model"
    )


def _categories(data: MixtureData) -> Categories:
    if data.categories is not None:
        below = None if data.folder is None else data.folder / data.categories
        return read_categories(str(below) if below is not None and below.is_file() else data.categories)
    first = data.sets[0]
    if first.folder is None:
        return Categories.builtin("scenes")
    return _open(first, data, first.train_split).categories


def _folder(one: MixtureSet, data: MixtureData) -> Path:
    assert one.folder is not None
    return one.folder if data.folder is None else data.folder / one.folder


def _open(one: MixtureSet, data: MixtureData, split: str) -> PanopticDataset:
    return open_dataset(_folder(one, data), split=split)


def _member(
    one: MixtureSet, data: MixtureData, categories: Categories, seed: int, *, validating: bool
) -> Member | None:
    dataset: PanopticDataset
    labelling: Labelling | None = None
    chosen: Sequence[int] | None = None
    if one.folder is None:
        name = SCENES
        scene_seed, count = HELD_OUT_SCENES["val"] if validating else (seed, ENDLESS)
        dataset = SceneDataset(scene_seed, one.size, count)
    else:
        folder = _folder(one, data)
        name = folder.name
        split = one.validation_split if validating else one.train_split
        if validating and not has_split(folder, split):
            return None
        dataset = _open(one, data, split)
        path = folder if one.labelled is None else folder / one.labelled
        labelling = (
            find_labelling(path, dataset.categories)
            if one.labelled is None
            else read_labelling(path, dataset.categories)
        )
        if one.list is not None:
            chosen = _chosen(folder / one.list, dataset)
            if validating and not chosen:
                return None
    mapping = None
    if isinstance(one.map, Path):
        mapping = read_class_map(one.map)
    elif one.map is not None:
        mapping = class_map(one.map, f"data.sets: {name}.map")
    places = correspond(mapping, categories, dataset.categories).places
    if not any(place is not None for place in places.values()):
        raise DataError(f"{name}: none of its categories is one of {categories.name}'s; give it a map")
    if labelling is None and one.folder is not None and None in places.values():
        # what has no name here is unlabelled, though never of a category that the set has
        every = frozenset(range(len(dataset.categories)))
        labelling = Labelling(every, every)
    moved = None if labelling is None else labelling.translated(places)
    return Member(name, dataset, one.weight, places, moved, chosen)


def _chosen(path: Path, dataset: PanopticDataset) -> list[int]:
    """Positions of the images that a text file lists, with or without the folder of their split."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}; check data.sets") from error
    wanted = {Path(line.strip()).name for line in lines if line.strip()}
    return [position for position, name in enumerate(dataset.names) if Path(name).name in wanted]
