"""HTML from Python, safe by construction: text is escaped unless it is known to be HTML."""

from html import escape


class Html(str):
    """Text that is HTML already. All other text is escaped wherever it enters a page."""

    __slots__ = ()


EMPTY = Html("")

_WITHOUT_END = frozenset(("br", "img", "meta"))


def element(name: str, /, *children: str, **attributes: str | int | float | bool | None) -> Html:
    """One element with its children, strings of which are escaped and `Html` is taken as it is.

    An underscore at the end of an attribute's name is dropped (`class_`), others become hyphens. True gives
    an attribute without value, None and False none.
    """
    words = [name]
    for key, value in attributes.items():
        key = key.rstrip("_").replace("_", "-")
        if value is True:
            words.append(key)
        elif value is not None and value is not False:
            words.append(f'{key}="{escape(str(value), quote=True)}"')
    start = f"<{' '.join(words)}>"
    return Html(start if name in _WITHOUT_END else f"{start}{join(*children)}</{name}>")


def join(*children: str) -> Html:
    """The children one after the other, escaped where they are not HTML."""
    return Html("".join(child if isinstance(child, Html) else escape(child) for child in children))
