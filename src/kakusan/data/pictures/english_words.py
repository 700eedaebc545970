"""English words and wordings. A wording is a format string; its names are explained in wording.py."""

from .wording import Wordings

TRAIN = Wordings(
    frames=(
        "a picture of {}",
        "a picture with {}",
        "an image of {}",
        "a drawing of {}",
        "an illustration of {}",
        "picture of {}",
        "image of {}",
        "there is {}",
        "this is {}",
        "it is {}",
        "draw {}",
        "please draw {}",
        "show me {}",
        "i want {}",
        "{}.",
        "just {}",
    ),
    joined=(
        "{a} on {a_back} background",
        "{a} on the {back} background",
        "{a} in front of {a_back} background",
        "{a} with {a_back} background",
        "{a} against {a_back} background",
        "{a} before {a_back} background",
        "{a} over {a_back} background",
        "{one} on {a_back} background",
        "{one} in front of {a_back} background",
        "{one} with {a_back} background",
        "{a_back} background with {a}",
        "{a_back} background and {a}",
    ),
    listed=(
        "{a}, {back} background",
        "{a}, {a_back} background",
        "{bare}, {back} background",
        "{bare} {back} background",
        "{bare} on {a_back} background",
        "{bare} in front of {a_back} background",
        "{bare} with {a_back} background",
        "{bare}, background {back}",
        "{a}. {back} background",
        "{one}, {back} background",
        "{back} background, {a}",
        "{back} background, {bare}",
        "{back} background with {a}",
        "{back} background {bare}",
        "{a_back} picture with {a}",
        "on {a_back} background, {a}",
        "{a}, the background is {back}",
        "the background is {back}, {a}",
        "a picture of {a}, {back} background",
        "a drawing of {a}, {back} background",
    ),
    on_colour=("{a} on {back}", "{bare} on {back}", "{a} in front of {back}", "{bare}, {back}", "{one} on {back}", "{a} against {back}"),
    in_place=("{a} {place}", "{one} {place}", "{a}, {place}"),
    listed_in_place=("{bare} {place}", "{bare}, {place}", "{place}, {a}", "{place}, {bare}", "{place} {a}", "a picture {place} with {a}"),
    alone=("{a}", "{bare}", "{one}"),
)
HELD_OUT = Wordings(
    frames=("here we can see {}", "my favourite picture shows {}", "could you make {}", "a small artwork showing {}"),
    joined=(
        "{a} shown before {a_back} background",
        "{a} placed on {a_back} background",
        "{a} and behind it {a_back} background",
        "{one} standing out from {a_back} background",
    ),
    listed=(
        "behind {a} there is {a_back} background",
        "{a_back} background and on it {a}",
        "look, {a}! the background is all {back}",
        "background: {back}. object: {bare}",
        "the {bare} has {a_back} background behind it",
    ),
    on_colour=("{a} surrounded by {back}", "{back} everywhere around {a}"),
    in_place=("{a} which is {place}", "{a} that somebody left {place}"),
    listed_in_place=("look {place}: {a}", "{bare}; everything {place}"),
    alone=("nothing but {a}", "look, {a}!"),
)

STYLES = {  # before a caption, and after it
    "pixel art": (
        ("pixel art of {}", "a pixel art picture of {}", "an 8-bit picture of {}"),
        ("{}, pixel art", "{}, 8-bit", "{} as pixel art"),
    ),
    "sketch": (("a pencil sketch of {}", "a line drawing of {}", "a sketch of {}"), ("{}, pencil sketch", "{}, line drawing")),
    "silhouette": (("a silhouette of {}", "the silhouette of {}"), ("{}, silhouette", "{} in silhouette")),
    "black and white": (
        ("a black and white picture of {}", "a grayscale picture of {}"),
        ("{}, black and white", "{} in black and white", "{}, monochrome"),
    ),
    "oil painting": (("an oil painting of {}", "a painting of {}"), ("{}, oil painting", "{} in oil")),
    "watercolor": (("a watercolor of {}", "a watercolor painting of {}"), ("{}, watercolor", "{} in watercolor")),
    "neon": (("a neon sign of {}", "neon lights in the shape of {}"), ("{}, neon", "{}, neon lights", "{} as a neon sign")),
    "blueprint": (("a blueprint of {}", "the blueprint of {}"), ("{}, blueprint", "{} as a blueprint")),
    "sepia": (("an old photo of {}", "a sepia picture of {}"), ("{}, sepia", "{} in sepia")),
}
RENDERINGS = {
    "3d": (("a 3d render of {}", "a 3d model of {}"), ("{}, 3d", "{}, 3d render")),
    "glossy": (("a glossy illustration of {}", "a glossy icon of {}"), ("{}, glossy",)),
    "flat": (("a flat icon of {}", "a flat drawing of {}"), ("{}, flat design", "{}, flat")),
    "cartoon": (("a cartoon of {}", "a cartoon picture of {}"), ("{}, cartoon", "{} as a cartoon")),
}
PLACES = {  # as a noun before "background", and as a phrase that says where
    "grass": (("grass", "meadow"), ("on the grass", "on a green field", "in a meadow", "on grass")),
    "beach": (("beach",), ("on the beach", "on a sandy beach", "at the beach")),
    "desert": (("desert",), ("in the desert", "in a desert")),
    "snow": (("snow", "snowy"), ("in the snow", "on snow", "on a snowy field")),
    "sea": (("sea", "ocean"), ("on the sea", "on the water", "on the ocean")),
    "underwater": (("underwater",), ("under the sea", "under water", "underwater")),
    "night": (("night", "night sky"), ("under a night sky", "at night", "in the night")),
    "space": (("space", "outer space"), ("in space", "in outer space")),
    "sunset": (("sunset",), ("at sunset", "under a sunset sky", "in the sunset")),
    "city": (("city", "city skyline"), ("in a city", "in the city", "in front of a city skyline")),
    "room": (("room",), ("in a room", "in the room", "indoors")),
    "table": (("table", "wooden table"), ("on a wooden table", "on a table", "on the table")),
    "forest": (("forest",), ("in a forest", "in the forest", "in the woods")),
    "mountains": (("mountain", "mountains"), ("in front of mountains", "in the mountains")),
    "sky": (("sky", "cloudy sky"), ("in the sky", "in the clouds")),
}
PATTERNS = {
    "dots": ("polka dot", "dotted"),
    "stripes": ("striped", "stripe"),
    "checks": ("checkered", "checkerboard"),
}
POSITIONS = {
    "top left": ("in the top left corner", "at the top left", "in the upper left"),
    "top": ("at the top", "in the upper half"),
    "top right": ("in the top right corner", "at the top right", "in the upper right"),
    "left": ("on the left", "on the left side"),
    "right": ("on the right", "on the right side"),
    "bottom left": ("in the bottom left corner", "at the bottom left", "in the lower left"),
    "bottom": ("at the bottom", "in the lower half"),
    "bottom right": ("in the bottom right corner", "at the bottom right", "in the lower right"),
}
RELATIONS = {
    "left": ("{} to the left of {}", "{} on the left of {}", "{} left of {}", "{} on the left and {} on the right"),
    "right": ("{} to the right of {}", "{} on the right of {}", "{} right of {}", "{} on the right and {} on the left"),
    "above": ("{} above {}", "{} over {}", "{} at the top and {} at the bottom"),
    "below": ("{} below {}", "{} under {}", "{} at the bottom and {} at the top"),
    "front": ("{} in front of {}",),
    "behind": ("{} behind {}",),
    "next": ("{} next to {}", "{} beside {}", "{} and {}", "{} with {}"),
}
INVERSE = {"left": "right", "right": "left", "above": "below", "below": "above", "front": "behind", "next": "next"}
NUMBERS = {2: ("two", "two", "2", "a pair of"), 3: ("three", "three", "3"), 4: ("four", "four", "4")}
SIZES = {"big": ("big", "large", "huge"), "small": ("small", "little", "tiny")}
PLURALS = {
    "cactus": "cacti",
    "snowman": "snowmen",
    "fish": "fish",
    "sushi": "pieces of sushi",
    "cup of coffee": "cups of coffee",
    "slice of pizza": "slices of pizza",
    "slice of watermelon": "slices of watermelon",
}
UNCOUNTED = ("sushi", "coffee")
