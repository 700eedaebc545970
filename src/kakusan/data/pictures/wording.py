"""What the two languages have in common: the kinds of wordings a caption is chosen from.

The names in a wording: {a} the subject (a cat; 猫), {bare} without article (cat; 猫), {one} with a number (one cat; 一匹の猫),
{back} the background as an adjective (blue; 青い), {a_back} with article (a blue), {back_noun} as a noun (青), {place} where it
is (on the beach; 砂浜の), {is_} the verb "to be somewhere" (いる, ある) and {is_polite} its polite form (います, あります).
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Wordings:
    """Ways to say the same.

    joined: noun phrases of subject and background, which may stand in one of the frames or in a style; listed: the rest.
    on_colour: name a plain colour without the word "background". in_place, listed_in_place: the same two for landscapes.
    alone: the background is not named.
    """

    frames: tuple[str, ...]
    joined: tuple[str, ...]
    listed: tuple[str, ...]
    on_colour: tuple[str, ...]
    in_place: tuple[str, ...]
    listed_in_place: tuple[str, ...]
    alone: tuple[str, ...]
