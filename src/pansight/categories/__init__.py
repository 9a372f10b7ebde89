"""Categories of things and stuff, and the sets of them that come with the package."""

from pansight.categories.table import BUILTIN, Categories, Category, read_categories

__all__ = ["BUILTIN", "Categories", "Category", "read_categories"]
