"""How detectors are trained: one typed record for each experiment of the paper, and for a few cores.

`docs/recipes.md` lists them with the source of every value; `recipe_page` writes it.
"""

from __future__ import annotations

from difflib import get_close_matches

from dap_core.errors import InputError
from dap_core.training.finetune_recipes import FINETUNE_ENTRIES, SELF_TRAIN_ENTRIES
from dap_core.training.pretrain_recipes import PRETRAIN_ENTRIES
from dap_core.training.recipe_entries import RecipeEntry
from dap_core.training.train_recipe import DetectorRecipe

ENTRIES = {entry.name: entry for entry in (*PRETRAIN_ENTRIES, *FINETUNE_ENTRIES, *SELF_TRAIN_ENTRIES)}
RECIPES = {name: entry.recipe for name, entry in ENTRIES.items()}


def get_entry(name: str) -> RecipeEntry:
    """The recipe of that name with the sources of its values. Raises InputError naming those that come close."""
    try:
        return ENTRIES[name]
    except KeyError:
        nearest = get_close_matches(name, ENTRIES, n=3)
        hint = f"perhaps {', '.join(nearest)}; " if nearest else ""
        raise InputError(f"there is no training recipe {name!r}; {hint}dap recipes lists all") from None


def get_train_recipe(name: str) -> DetectorRecipe:
    """The recipe of that name. Raises InputError naming those that come close."""
    return get_entry(name).recipe
