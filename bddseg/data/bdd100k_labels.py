"""The classes and attributes of BDD100K, and its description with the five classes that have the most pixels.

It describes every dataset that was recorded without a description.
"""

from bddseg.data.description import BDD100K_LAYOUT, ClassLabel, Description, Merged
from bddseg.data.drives import BDD100K as DRIVE
from bddseg.task import FIVE_CLASSES, IGNORE, Colour

CITY = "city street"
"""The scene of the first group."""

SCENES = (CITY, "highway", "residential", "parking lot", "tunnel", "gas stations", "undefined")
"""Values of the scene attribute in the detection labels."""

WEATHERS = ("clear", "overcast", "partly cloudy", "rainy", "snowy", "foggy", "undefined")
TIMES_OF_DAY = ("daytime", "night", "dawn/dusk", "undefined")
"""Values of the other two attributes of an image."""

MASK_COLOURS: dict[str, Colour] = {
    "road": (128, 64, 128),
    "sidewalk": (244, 35, 232),
    "building": (70, 70, 70),
    "wall": (102, 102, 156),
    "fence": (190, 153, 153),
    "pole": (153, 153, 153),
    "traffic light": (250, 170, 30),
    "traffic sign": (220, 220, 0),
    "vegetation": (107, 142, 35),
    "terrain": (152, 251, 152),
    "sky": (70, 130, 180),
    "person": (220, 20, 60),
    "rider": (255, 0, 0),
    "car": (0, 0, 142),
    "truck": (0, 0, 70),
    "bus": (0, 60, 100),
    "train": (0, 80, 100),
    "motorcycle": (0, 0, 230),
    "bicycle": (119, 11, 32),
}
"""Class of each mask value from 0 (Cityscapes train ids, as BDD100K uses them) -> its colour in colour maps."""

NO_CLASS_COLOUR: Colour = (0, 0, 0)
"""Colour of pixels without a class in colour maps."""

_PICTURE_COLOURS = MASK_COLOURS | dict(zip(FIVE_CLASSES.classes, FIVE_CLASSES.palette, strict=True))

BDD100K = Description(
    name="bdd100k",
    classes=tuple(
        ClassLabel(name, (value,), (colour,), _PICTURE_COLOURS[name])
        for value, (name, colour) in enumerate(MASK_COLOURS.items())
    ),
    layout=BDD100K_LAYOUT,
    select=tuple(Merged(name, (name,)) for name in FIVE_CLASSES.classes),
    ignore=(IGNORE,),
    ignore_colours=(NO_CLASS_COLOUR,),
    attribute=FIVE_CLASSES.attribute,
    groups=FIVE_CLASSES.groups,
    drive=DRIVE,
    about="BDD100K's 10k images, five classes",
)
