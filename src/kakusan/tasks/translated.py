"""Prompts that were asked for in Japanese and drawn in English: what a recipe says of that."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from ..messages import tr
from ..prompts.japanese.translators import LEXICON, OFF, Translator, is_japanese

if TYPE_CHECKING:
    from ..formats.model import Model
    from .recipe import Recipe


KEYS = ("Translation", "Original prompt", "Original negative", "Original second")


@dataclass(frozen=True)
class Translated:
    """by: whose English the recipe's prompts are: lexicon, marian, callable, hand; "" if they are as they were asked for.

    prompt, negative, second: as they were asked for, where that is different. unknown: words of them nobody knew, told once and not kept.
    """

    by: str = ""
    prompt: str = ""
    negative: str = ""
    second: str = ""
    unknown: tuple[str, ...] = field(default=(), compare=False)

    def settings(self) -> dict[str, str]:
        """As lines of a recipe, whose prompts are the English ones."""
        said = zip(KEYS, (self.by, self.prompt, self.negative, self.second), strict=True)
        return {key: text for key, text in said if text}

    @classmethod
    def of_settings(cls, settings: Mapping[str, str]) -> "Translated":
        """What `settings` said."""
        by, prompt, negative, second = (settings.get(key, "") for key in KEYS)
        return cls(by, prompt, negative, second)


NOT_TRANSLATED = Translated()


def usual(model: "Model") -> Translator:
    """The tables, for a model that was not taught Japanese."""
    return OFF if speaks_japanese(model) else LEXICON


def speaks_japanese(model: "Model") -> bool:
    """Whether a model was shown Japanese words, or has a text encoder that was made for other languages than English."""
    shown = model.settings.get("words", ())
    return "ja" in model.settings.get("languages", ()) or any(map(is_japanese, shown)) or model.takes_japanese


def in_english(recipe: "Recipe", translator: Translator) -> "Recipe":
    """The recipe with its prompts in English, and what they were; itself if there is nothing to translate."""
    asked = {name: getattr(recipe, name) for name in ("prompt", "negative", "second")}
    asked = {name: text for name, text in asked.items() if is_japanese(text)}
    if translator is OFF or not asked:
        return recipe
    told = {name: translator.function(text) for name, text in asked.items()}
    unknown = tuple(dict.fromkeys(word for _, words in told.values() for word in words))
    before = recipe.translated
    asked = {name: getattr(before, name) or text for name, text in asked.items()}  # words left to chance may be Japanese again
    kept = replace(before, by=translator.name, unknown=(*before.unknown, *unknown))
    drawn: dict[str, Any] = {name: text for name, (text, _) in told.items()}
    return replace(recipe, **drawn, translated=replace(kept, **asked))


def translation_notes(recipe: "Recipe") -> list[str]:
    """The English that is drawn, and the words that nobody knew."""
    asked = recipe.translated
    notes = []
    if asked.prompt:
        notes.append(tr(f"in English: {recipe.prompt}", f"英語にすると: {recipe.prompt}"))
    if asked.second:
        notes.append(tr(f"second prompt in English: {recipe.second}", f"2 つ目のプロンプトを英語にすると: {recipe.second}"))
    if asked.negative:
        notes.append(tr(f"negative prompt in English: {recipe.negative}", f"ネガティブプロンプトを英語にすると: {recipe.negative}"))
    if asked.unknown:
        words = ", ".join(asked.unknown)
        notes.append(tr(f"words without a translation: {words}", f"訳せなかった言葉: {words}"))
    return notes
