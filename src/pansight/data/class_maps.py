"""Class maps: which category of a data set is which of a model's, written down by hand or proposed.

A file has a line for each category of the model: `model's category: data's category`, a list of several, or
`null` where the data set has no counterpart.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from pansight.categories import Categories, Category
from pansight.data.class_names import find_name
from pansight.errors import DataError

ClassMap = Mapping[str, tuple[str, ...]]
"""names of the data set's categories by the name of the model's; none: no counterpart"""


class _OneLineEach(yaml.SafeLoader):
    """YAML in which a second line for one name is an error: of two, plain YAML silently takes the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """See SafeLoader."""
        names = [self.construct_object(key) for key, _ in node.value]
        doubled = [name for number, name in enumerate(names) if name in names[:number]]
        if doubled:
            raise yaml.MarkedYAMLError(
                problem=f"{doubled[0]!r} has two lines; join them as a list, [a, b]",
                problem_mark=node.start_mark,
            )
        return super().construct_mapping(node, deep)


def read_class_map(path: Path) -> ClassMap:
    """Read a class map. Raises DataError when the file cannot be read or is not a YAML file of names."""
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), _OneLineEach)
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}; check the path") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise DataError(f"{path} is not valid YAML: {' '.join(str(error).split())}; correct it") from error
    return class_map(content, path)


def class_map(content: Any, where: object) -> ClassMap:
    """A class map from what a YAML file holds; `where` is for messages. Raises DataError."""
    if not isinstance(content, Mapping):
        raise DataError(f"{where}: needs lines `model's category: data's category`; correct it")
    result: dict[str, tuple[str, ...]] = {}
    for name, value in content.items():
        sources = () if value is None else tuple(value) if isinstance(value, list | tuple) else (value,)
        if not isinstance(name, str) or not all(isinstance(source, str) for source in sources):
            raise DataError(f"{where}: {name!r}: {value!r} must be names or null; put them in quotes")
        result[name] = sources
    return result


@dataclass(frozen=True)
class Correspondence:
    """Where each category of a data set goes among a model's.

    `places`: for each contiguous index of the data set's, the model's, or None. `ignored`: names in the map
    that occur in neither set.
    """

    places: Mapping[int, int | None]
    ignored: tuple[str, ...] = ()

    def unmatched_data(self, data: Categories) -> list[str]:
        """Names of the data set's categories without a place."""
        return [data.names[old] for old, new in self.places.items() if new is None]

    def unmatched_model(self, model: Categories) -> list[str]:
        """Names of the model's categories that nothing of the data set becomes."""
        used = set(self.places.values())
        return [name for index, name in enumerate(model.names) if index not in used]

    def remark(self) -> str | None:
        """What was ignored, in one line; None: nothing."""
        if not self.ignored:
            return None
        return f"the class map names {', '.join(self.ignored)}, which neither side has; ignored"


def correspond(mapping: ClassMap | None, model: Categories, data: Categories) -> Correspondence:
    """Where each category of `data` goes in `model`: by the map, or by name where there is none.

    Raises DataError when the map gives a category of the data to two of the model.
    """
    if mapping is None:
        return Correspondence({index: find_name(name, model) for index, name in enumerate(data.names)})
    pairs, ignored = matched(mapping, model, data)
    places: dict[int, int | None] = dict.fromkeys(range(len(data)))
    for ours, theirs in pairs:
        taken = places[theirs]
        if taken is not None:
            raise DataError(
                f"the class map gives {data.names[theirs]!r} to {model.names[taken]!r} and to "
                f"{model.names[ours]!r}; give it to one"
            )
        places[theirs] = ours
    return Correspondence(places, ignored)


def matched(
    mapping: ClassMap, model: Categories, data: Categories
) -> tuple[list[tuple[int, int]], tuple[str, ...]]:
    """Pairs of contiguous indices (model's, data's), and the names in the map that neither side has."""
    ours = {name: index for index, name in enumerate(model.names)}
    theirs = {name: index for index, name in enumerate(data.names)}
    pairs: list[tuple[int, int]] = []
    ignored: list[str] = []
    for name, sources in mapping.items():
        ignored += [word for word in (name,) if word not in ours]
        ignored += [source for source in sources if source not in theirs]
        pairs += [(ours[name], theirs[s]) for s in sources if name in ours and s in theirs]
    return pairs, tuple(ignored)


def categories_of(mapping: ClassMap, data: Categories) -> Categories:
    """The categories that a map makes of a data set's: named by the map, otherwise as the first source is.

    Things and stuff that become one are stuff, where nobody can tell objects apart. Lines without a source
    that the data set has are left out. Raises DataError when none is left.
    """
    theirs = {name: index for index, name in enumerate(data.names)}
    items: list[Category] = []
    for name, sources in mapping.items():
        found = [data[theirs[source]] for source in sources if source in theirs]
        if not found:
            continue
        first, countable = found[0], all(one.is_thing for one in found)
        items.append(Category(name, countable, len(items) + 1, first.color, first.supercategory))
    if not items:
        raise DataError(f"the class map names none of {data.name}'s categories; see `pansight data map`")
    return Categories(items, f"{data.name} mapped")


def towards_new(mapping: ClassMap, source: Categories) -> ClassMap:
    """The map as lines `new category: source's categories`, whichever way it was written.

    A map for data is written `the model's: the data's`; read for what the model says, it goes the other way:
    its keys are the source's. So the side of which the source knows more names is the source's; of equally
    many the values are. Raises DataError for a category of the source that would become two.

    Example:
        >>> from pansight.categories import Categories
        >>> towards_new({"car": ("vehicle",), "bus": ("vehicle",), "sky": ()}, Categories.builtin("coco"))
        {'vehicle': ('car', 'bus')}
    """
    known = set(source.names)
    values = {name for sources in mapping.values() for name in sources}
    if len(values & known) >= len(known & mapping.keys()):
        return mapping
    turned: dict[str, tuple[str, ...]] = {}
    for name, targets in mapping.items():
        if len(targets) > 1:
            raise DataError(
                f"the class map makes {', '.join(targets)} of {name!r}, which can become one only; choose one"
            )
        for target in targets:
            turned[target] = (*turned.get(target, ()), name)
    return turned


def proposed(model: Categories, data: Categories) -> dict[str, str | None]:
    """A class map from names and synonyms: the counterpart of each of the model's categories, or None.

    A thing only answers to a thing, and stuff to stuff; a category of the data set is given away once, to the
    spelling that fits best.
    """
    result: dict[str, str | None] = dict.fromkeys(model.names)
    taken: set[int] = set()
    finders: tuple[Callable[[str, Categories], int | None], ...] = (_exactly, find_name, _find_near)
    for find in finders:
        for index, name in enumerate(model.names):
            if result[name] is not None:
                continue
            found = find(name, data)
            if found is None or found in taken or data[found].is_thing != model[index].is_thing:
                continue
            result[name] = data.names[found]
            taken.add(found)
    return result


def _exactly(name: str, wanted: Categories) -> int | None:
    return wanted.names.index(name) if name in wanted.names else None


_NEAR = (
    {"person", "pedestrian", "people", "human"},
    {"bicyclist", "cyclist", "rider"},
    {"tree", "trees", "vegetation", "plant"},
    {"sidewalk", "pavement", "footpath"},
    {"car", "automobile", "vehicle"},
    {"sign_symbol", "traffic sign", "sign"},
    {"ground", "terrain", "earth", "soil"},
    {"house", "building"},
    {"lawn", "grass"},
    {"sea", "water", "river", "lake"},
    {"sofa", "couch"},
    {"street", "road"},
)
"""words of one meaning in most data sets, though not always: good enough for a proposal"""


def _find_near(name: str, wanted: Categories) -> int | None:
    """The one category that means nearly the same; None where there is none, or several."""
    for group in _NEAR:
        if name in group:
            found = [index for index, one in enumerate(wanted.names) if one in group]
            return found[0] if len(found) == 1 else None
    return None


def to_yaml(mapping: Mapping[str, str | None], header: Iterable[str] = ()) -> str:
    """A class map as a file, with lines of comment in front."""
    lines = [f"# {line}".rstrip() for line in header]
    body = yaml.safe_dump(dict(mapping), sort_keys=False, allow_unicode=True)
    return "\n".join([*lines, body])
