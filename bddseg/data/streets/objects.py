"""Street scene -> picture and mask: a pinhole camera, and one painter per kind of thing. Painted back to front.

Only integers and + - * / go into a pixel, so that the same numpy and Pillow give the same bytes on every machine.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
from PIL import Image, ImageDraw

from bddseg.data.bdd100k_labels import MASK_COLOURS
from bddseg.task import IGNORE

Point = tuple[float, float, float]
"""Metres across the street (right is positive), above the road, and ahead of the camera."""
Colour = tuple[int, int, int]
Rate = tuple[float, float, float]

OVERSAMPLING = 2
"""Canvas pixels per image pixel, along each side: edges of the image are smooth, those of the mask crisp."""
NEAR_M = 0.9
DEPTHS_M = (0.9, 1.6, 2.4, 3.5, 5.0, 7.0, 10.0, 14.0, 20.0, 28.0, 40.0, 60.0, 90.0, 140.0, 220.0, 320.0)
LABELS = {name: index for index, name in enumerate(MASK_COLOURS)}
GRAIN = {"vegetation": 26, "terrain": 17, "building": 10, "sidewalk": 8, "road": 8, "wall": 10, "sky": 2}
"""Strength of the fine texture of each class, in grey levels; 5 for the others."""
GLASS: Colour = (38, 44, 54)
LAMP: Colour = (255, 236, 190)
VEHICLES = {"car": (0.58, 0.18, 0.95), "truck": (0.92, 0.0, 0.3), "bus": (0.97, 0.0, 1.0), "train": (0.98, 0.0, 1.0)}
"""Height of the body (a share of the whole), and where the windows begin and end along it."""


@dataclass(frozen=True)
class Thing:
    """Something beside or on the street."""

    kind: str
    """A key of PAINTERS."""
    s: float
    """Metres along the street, of its near end."""
    u: float
    """Metres across the street: the side facing the road for what lines it, the middle for anything else."""
    width: float
    height: float
    length: float
    colour: Colour
    style: int
    """Picks details; the same in every frame of a drive."""

    @property
    def far(self) -> float:
        """Return where it counts as standing when things are sorted: lining hides nothing that stands along it."""
        return self.s + (self.length if self.kind in LINING else 0.0)


@dataclass(frozen=True)
class Air:
    """Light and weather of a drive."""

    light: Rate
    sky_top: Colour
    sky_low: Colour
    haze_m: float
    """Distance at which half of a colour is lost in haze."""
    sun: int
    """-1 left, 0 hidden, 1 right."""
    night: bool
    cloud: float
    wet: float
    snow: float
    """Share of the ground under snow."""
    flakes: float
    """Drops or flakes in the air, per 1000 pixels."""
    gain: float
    contrast: float
    tint: Rate
    noise: float
    blur_px: float


@dataclass(frozen=True)
class Camera:
    """Where a frame is seen from; lengths in canvas pixels or metres."""

    width_px: int
    height_px: int
    focal_px: float
    centre_px: float
    horizon_px: float
    tilt: float
    """Tangent of half the roll angle: sine and cosine follow without a library call."""
    s: float
    u: float
    h: float
    bend: float
    swerve: float
    hill: float

    @cached_property
    def roll(self) -> tuple[float, float]:
        """Return cosine and sine of the roll angle."""
        square = 1 + self.tilt * self.tilt
        return (2 - square) / square, 2 * self.tilt / square

    def place(self, point: Point) -> tuple[int, int]:
        """Return the canvas position of a point."""
        return self.outline((point,))[0]

    def outline(self, points: Sequence[Point]) -> list[tuple[int, int]]:
        """Return the canvas positions of points; the road bends, swerves and climbs with the distance.

        The camera rolls about the middle of the canvas. A sixth of a frame's time is spent here.
        """
        (cos, sin), middle, centre, reach = self.roll, self.width_px / 2, self.height_px / 2, 6 * self.width_px
        focal, centre_px, horizon_px = self.focal_px, self.centre_px, self.horizon_px
        own_u, own_h, bend, swerve, hill = self.u, self.h, self.bend, self.swerve, self.hill
        positions = []
        for u, h, z in points:
            x = u - own_u + z * z * (bend + swerve * z)
            y = h - own_h + hill * z * z
            right, down = centre_px + focal * x / z - middle, horizon_px - focal * y / z - centre
            across, along = right * cos - down * sin, right * sin + down * cos
            across = -reach if across < -reach else reach if across > reach else across
            along = -reach if along < -reach else reach if along > reach else along
            positions.append((round(middle + across), round(centre + along)))
        return positions


class Canvas:
    """Picture and mask of one frame, drawn together."""

    def __init__(self, camera: Camera, air: Air) -> None:
        self.camera, self.air = camera, air
        size = (camera.width_px, camera.height_px)
        self.picture, self.mask = Image.new("RGB", size), Image.new("L", size, IGNORE)
        self.pen, self.veil = ImageDraw.Draw(self.picture), ImageDraw.Draw(self.picture, "RGBA")
        self.label_pen = ImageDraw.Draw(self.mask)

    def scale(self, z: float) -> float:
        """Return the canvas pixels of one metre at a distance."""
        return self.camera.focal_px / z

    def lit(self, colour: Sequence[float], z: float, shade: float = 1.0, *, glows: bool = False) -> Colour:
        """Return a colour as it looks from a distance."""
        warm, mild, cold = (1.0, 1.0, 1.0) if glows else self.air.light
        far = z / (z + self.air.haze_m)
        near = 1 - far
        (red, green, blue), (hazy_red, hazy_green, hazy_blue) = colour, self.air.sky_low
        red, green, blue = (
            int(red * shade * warm * near + hazy_red * far),
            int(green * shade * mild * near + hazy_green * far),
            int(blue * shade * cold * near + hazy_blue * far),
        )
        return red if red < 255 else 255, green if green < 255 else 255, blue if blue < 255 else 255

    def fill(self, points: Sequence[Point], colour: Colour, label: int | None = None) -> None:
        """Fill a polygon with a colour as it looks, and, with a label, the mask."""
        corners = self.camera.outline(points)
        self.pen.polygon(corners, fill=colour)
        if label is not None:
            self.label_pen.polygon(corners, fill=label)

    def shadow(self, points: Sequence[Point], strength: int) -> None:
        """Darken a polygon."""
        self.veil.polygon(self.camera.outline(points), fill=(8, 10, 22, strength))

    def disc(self, centre: Point, across: float, up: float, colour: Colour, label: int | None = None) -> None:
        """Fill an ellipse that faces the camera; radii in metres."""
        self.discs(centre[2], [(centre, across, up, colour)], label)

    def discs(self, z: float, ellipses: Sequence[tuple[Point, float, float, Colour]], label: int | None = None) -> None:
        """Fill ellipses at one distance: centre, radii in metres across and up, colour."""
        scale = self.scale(z)
        centres = self.camera.outline([ellipse[0] for ellipse in ellipses])
        for (x, y), (_, across, up, colour) in zip(centres, ellipses, strict=True):
            width, height = round(across * scale), round(up * scale)
            box = (x - width, y - height, x + width, y + height)
            self.pen.ellipse(box, fill=colour)
            if label is not None:
                self.label_pen.ellipse(box, fill=label)

    def stroke(self, points: Sequence[Point], width: float, colour: Colour, label: int | None = None) -> None:
        """Draw a line of some metres' width, at least one image pixel wide."""
        corners = self.camera.outline(points)
        width_px = max(OVERSAMPLING, round(width * self.scale(points[0][2])))
        self.pen.line(corners, fill=colour, width=width_px)
        if label is not None:
            self.label_pen.line(corners, fill=label, width=width_px)

    def glow(self, centre: Point, radius: float, colour: Colour) -> None:
        """Draw a lamp's halo where it is dark."""
        if not self.air.night:
            return
        x, y = self.camera.place(centre)
        for share, strength in ((1.0, 26), (0.6, 40), (0.3, 90)):
            reach = round(min(radius * share * self.scale(centre[2]), self.camera.width_px / 4))
            self.veil.ellipse((x - reach, y - reach, x + reach, y + reach), fill=(*colour, strength))


@lru_cache(maxsize=1)
def scatter() -> tuple[float, ...]:
    """Return 1024 fixed numbers in [0, 1): details of things, the same in every frame."""
    return tuple(np.random.Generator(np.random.PCG64(20)).random(1024).tolist())


def pick(style: int, index: int) -> float:
    """Return a thing's fixed random number."""
    return scatter()[(style * 37 + index) % 1024]


def _wall(canvas: Canvas, thing: Thing, z: float, label: int, side_shade: float = 1.0) -> float:
    """Draw the upright plane that lines the street and the end facing the camera; return where it begins."""
    near, far, top = max(z, NEAR_M), z + thing.length, thing.height
    outer = thing.u + (thing.width if thing.u > 0 else -thing.width)
    end = [(thing.u, 0, near), (outer, 0, near), (outer, top, near), (thing.u, top, near)]
    canvas.fill(end, canvas.lit(thing.colour, near, 0.82), label)
    side = [(thing.u, 0, near), (thing.u, 0, far), (thing.u, top, far), (thing.u, top, near)]
    canvas.fill(side, canvas.lit(thing.colour, (near + far) / 2, side_shade), label)
    return near


def _sunny(canvas: Canvas, thing: Thing) -> float:
    return 1.0 + 0.28 * canvas.air.sun * (-1 if thing.u > 0 else 1)


def _building(canvas: Canvas, thing: Thing, z: float) -> None:
    label, shade = LABELS["building"], _sunny(canvas, thing)
    near = _wall(canvas, thing, z, label, shade)
    if canvas.scale(near) * 3.2 < 5 or thing.style % 7 == 6:
        return
    floors = max(2, int(thing.height / 3.3))
    columns = max(2, int(thing.length / (2.4 + 2 * pick(thing.style, 1))))
    for floor in range(floors):
        bottom = thing.height * (floor + 0.3) / floors
        _windows(canvas, thing, z, (bottom, bottom + thing.height * 0.5 / floors), columns, floor)


def _windows(canvas: Canvas, thing: Thing, z: float, heights: tuple[float, float], columns: int, floor: int) -> None:
    """Draw one floor's windows: a band of glass, or single ones; some are lit when it is dark."""
    band = thing.style % 3 == 0 or floor == 0 or canvas.scale(max(z, NEAR_M)) * thing.length / columns < 7
    columns, share = (1, 0.96) if band else (columns, 0.55)
    for column in range(columns):
        start = z + thing.length * (column + (1 - share) / 2) / columns
        stop = start + thing.length * share / columns
        if stop <= NEAR_M + 0.2:
            continue
        chance = pick(thing.style, floor * 31 + column)
        glows = canvas.air.night and chance < (0.7 if floor == 0 else 0.35)
        glass = LAMP if glows else _glass(canvas, thing, chance)
        tone = canvas.lit(glass, start if start > NEAR_M else NEAR_M, 0.55 + 0.4 * chance, glows=glows)
        first, (low, high) = max(start, NEAR_M), heights
        canvas.fill([(thing.u, low, first), (thing.u, low, stop), (thing.u, high, stop), (thing.u, high, first)], tone)


def _glass(canvas: Canvas, thing: Thing, chance: float) -> Colour:
    """Return dark glass, or glass that mirrors the sky."""
    return canvas.air.sky_low if thing.style % 5 == 1 and chance < 0.7 else GLASS


def _house(canvas: Canvas, thing: Thing, z: float) -> None:
    label = LABELS["building"]
    near = _wall(canvas, thing, z, label, _sunny(canvas, thing))
    far, top, ridge = z + thing.length, thing.height, thing.height + 1.2 + 2.2 * pick(thing.style, 2)
    middle = thing.u + (thing.width if thing.u > 0 else -thing.width) / 2
    outer = 2 * middle - thing.u
    roof = tuple(int(60 + 90 * pick(thing.style, 3 + index)) for index in range(3))
    gable = [(thing.u, top, near), (outer, top, near), (middle, ridge, near)]
    canvas.fill(gable, canvas.lit(thing.colour, near, 0.78), label)
    slope = [(thing.u, top, near), (thing.u, top, far), (middle, ridge, far), (middle, ridge, near)]
    canvas.fill(slope, canvas.lit((235, 238, 245) if canvas.air.snow > 0.3 else roof, near), label)
    if canvas.scale(near) > 6:
        _windows(canvas, thing, z, (top * 0.25, top * 0.75), 3, 1)


def _strip(canvas: Canvas, thing: Thing, z: float) -> None:
    """Draw a wall, fence or guard rail."""
    near = _wall(canvas, thing, z, LABELS[thing.kind], _sunny(canvas, thing))
    posts = 5 if canvas.scale(near) > 12 else 0
    for index in range(posts):
        at = max(NEAR_M, z + thing.length * (index + 0.5) / posts)
        canvas.stroke([(thing.u, 0, at), (thing.u, thing.height, at)], 0.07, canvas.lit(thing.colour, at, 0.7))


def _hedge(canvas: Canvas, thing: Thing, z: float) -> None:
    """Draw a hedge or a row of trees as a wall of leaves with a ragged top."""
    label = LABELS["vegetation"]
    near = _wall(canvas, thing, z, label, _sunny(canvas, thing))
    count = 5 if canvas.scale(near) * thing.height > 14 else 2
    for index in range(count):
        at = max(NEAR_M, z + thing.length * (1 - (index + 0.5) / count))
        reach = thing.height * (0.18 + 0.3 * pick(thing.style, index))
        tone = canvas.lit(thing.colour, at, 0.75 + 0.4 * pick(thing.style, index + 9))
        canvas.disc((thing.u, thing.height * 0.95, at), reach * 1.3, reach, tone, label)


def _tree(canvas: Canvas, thing: Thing, z: float) -> None:
    label, trunk = LABELS["vegetation"], thing.height * (0.2 + 0.25 * pick(thing.style, 0))
    bark = canvas.lit((74, 60, 48), z)
    canvas.stroke([(thing.u, 0, z), (thing.u, trunk * 1.4, z)], 0.12 + thing.height * 0.022, bark, label)
    if thing.style % 9 == 8 or (canvas.air.snow > 0.5 and thing.style % 3 < 2):
        _branches(canvas, thing, z, trunk, bark)
        return
    leaves = int(min(26, 5 + canvas.scale(z) * thing.height / 14))
    cone = thing.style % 4 == 3
    numbers, first, crown = scatter(), thing.style * 37, thing.height - trunk
    ellipses = []
    for index in range(leaves):
        up, aside = numbers[(first + 3 * index) % 1024], numbers[(first + 3 * index + 1) % 1024]
        big, tint = numbers[(first + 3 * index + 2) % 1024], numbers[(first + 5 * index + 2) % 1024]
        reach = thing.width / 2 * ((1.05 - up) if cone else 0.9)
        u = thing.u + reach * (2 * aside - 1) * 0.75
        size = reach * (0.3 + 0.25 * big) + 0.15
        tone = canvas.lit(thing.colour, z, 0.55 + 0.35 * up + 0.35 * tint)
        ellipses.append(((u, trunk + crown * (0.1 + 0.85 * up), z), size, size * 0.8, tone))
    canvas.discs(z, ellipses, label)


def _branches(canvas: Canvas, thing: Thing, z: float, trunk: float, bark: Colour) -> None:
    """Draw a bare crown."""
    for index in range(14):
        low = trunk + (thing.height - trunk) * 0.5 * pick(thing.style, index)
        u = thing.u + thing.width * 0.6 * (pick(thing.style, index + 30) * 2 - 1)
        high = low + (thing.height - trunk) * (0.2 + 0.3 * pick(thing.style, index + 60))
        canvas.stroke([(thing.u, low, z), (u, high, z)], 0.1, bark, LABELS["vegetation"])


def _vehicle(canvas: Canvas, thing: Thing, z: float) -> None:
    """Draw a vehicle along the street; one that is wider than long stands across it."""
    label, half, near = LABELS[thing.kind], thing.width / 2, max(z, NEAR_M + 0.3)
    far, belt, base = near + thing.length, thing.height * VEHICLES[thing.kind][0], 0.16 * min(thing.height, 2)
    left, right = thing.u - half, thing.u + half
    bent = canvas.camera.u - near * near * (canvas.camera.bend + canvas.camera.swerve * near)
    inner, shade = (left, 0.92 + 0.2 * -canvas.air.sun) if thing.u > bent else (right, 0.92 + 0.2 * canvas.air.sun)
    canvas.shadow([(left, 0, near), (right, 0, near), (right, 0, far), (left, 0, far)], 150)
    canvas.fill(
        [(inner, base, near), (inner, base, far), (inner, belt, far), (inner, belt, near)],
        canvas.lit(thing.colour, near, shade), label,
    )  # fmt: skip
    _wheels(canvas, thing, near, inner, label)
    _cabin(canvas, thing, near, inner, label)
    canvas.fill(
        [(left, base, near), (right, base, near), (right, belt, near), (left, belt, near)],
        canvas.lit(thing.colour, near, 0.85), label,
    )  # fmt: skip
    _lights(canvas, thing, near, belt)


def _wheels(canvas: Canvas, thing: Thing, near: float, inner: float, label: int) -> None:
    across, radius = thing.width > thing.length, 0.17 + 0.1 * min(thing.height, 3)
    for share in (0.2, 0.8):
        u, at = (thing.u + thing.width * (share - 0.5), near) if across else (inner, near + thing.length * share)
        canvas.disc((u, radius, at), radius if across else radius * 0.5, radius, canvas.lit((24, 24, 26), at), label)


def _cabin(canvas: Canvas, thing: Thing, near: float, inner: float, label: int) -> None:
    """Draw what is above the belt line: glass in a roof that is narrower than the body of a car, flush otherwise."""
    share, start, stop = VEHICLES[thing.kind]
    belt, top, half = thing.height * share, thing.height, thing.width / 2
    slim = 0.82 if thing.kind == "car" else 1.0
    first, last = near + thing.length * start * 0.6, near + thing.length * stop
    glass = canvas.lit(GLASS, near, 1.6 if thing.style % 3 == 0 else 1.0)
    side = [(inner, belt, first), (inner, belt, last)]
    edge = thing.u + (inner - thing.u) * slim
    side += [(edge, top, last - 0.2 * thing.length), (edge, top, first + 0.12 * thing.length)]
    canvas.fill(side, glass, label)
    at = first if thing.kind == "car" else near
    low, high = (thing.u - half * 0.94, thing.u + half * 0.94), (thing.u - half * slim, thing.u + half * slim)
    rear = [(low[0], belt, at), (low[1], belt, at), (high[1], top, at), (high[0], top, at)]
    canvas.fill(rear, canvas.lit(thing.colour, near, 0.8), label)
    if canvas.scale(near) > 7 and not (thing.kind == "truck" and thing.style % 2):
        pane = thing.height * (0.0 if thing.kind == "car" else -0.45)
        inside = [(low[0] * 0.9 + thing.u * 0.1, belt + pane), (low[1] * 0.9 + thing.u * 0.1, belt + pane)]
        inside += [(high[1] * 0.9 + thing.u * 0.1, top * 0.95), (high[0] * 0.9 + thing.u * 0.1, top * 0.95)]
        canvas.fill([(u, h, at) for u, h in inside], glass, label)


def _lights(canvas: Canvas, thing: Thing, near: float, belt: float) -> None:
    """Draw lamps: white on the left, where vehicles come towards the camera, red on the right."""
    if canvas.scale(near) < 5 or thing.width > thing.length:
        return
    colour: Colour = (255, 250, 225) if thing.u < 0 else (225, 30, 26)
    for side in (-0.4, 0.4):
        centre = (thing.u + side * thing.width, min(belt, 1.4) * 0.7, near)
        dark = canvas.air.night
        canvas.disc(centre, 0.15, 0.09, canvas.lit(colour, near * 0.4 if dark else near, glows=dark))
        canvas.glow(centre, 1.1, colour)


def _person(canvas: Canvas, thing: Thing, z: float, base: float = 0.0, label: int = LABELS["person"]) -> None:
    height, half = thing.height, thing.width / 2
    tall = [(0.0, 0.48, 0.75, (45, 46, 60)), (0.45, 0.86, 1.0, thing.colour)]
    for low, high, wide, colour in tall:
        reach, bottom, top = half * wide, base + height * low, base + height * high
        corners = [(thing.u - reach, bottom, z), (thing.u + reach, bottom, z)]
        corners += [(thing.u + reach * 0.8, top, z), (thing.u - reach * 0.8, top, z)]
        canvas.fill(corners, canvas.lit(colour, z), label)
    canvas.disc((thing.u, base + height * 0.92, z), 0.13, height * 0.085, canvas.lit((176, 134, 110), z), label)


def _cycle(canvas: Canvas, thing: Thing, z: float) -> None:
    """Draw a bicycle or motorcycle, with its rider where the style is even."""
    label, heavy = LABELS[thing.kind], thing.kind == "motorcycle"
    tone = canvas.lit(thing.colour if heavy else (30, 30, 34), z)
    across = 0.55 if thing.style % 3 else 0.05
    for side in (-across, across):
        canvas.disc((thing.u + side, 0.34, z), 0.33 if across > 0.1 else 0.1, 0.34, tone, label)
    frame = [(thing.u - across, 0.35, z), (thing.u, 0.85, z), (thing.u + across, 0.95, z)]
    canvas.stroke(frame, 0.4 if heavy else 0.16, tone, label)
    if thing.style % 2 == 0:
        _person(canvas, Thing("person", 0, thing.u, 0.5, 1.25, 0, thing.colour, 0), z, 0.6, LABELS["rider"])


def _pole(canvas: Canvas, thing: Thing, z: float) -> None:
    """Draw a pole, with a lamp on an arm over the road where the style is even."""
    tone, top = canvas.lit(thing.colour, z), thing.height
    canvas.stroke([(thing.u, 0, z), (thing.u, top, z)], thing.width, tone, LABELS["pole"])
    if thing.style % 2:
        return
    tip = thing.u + (-2.2 if thing.u > 0 else 2.2)
    canvas.stroke([(thing.u, top, z), (tip, top + 0.3, z)], thing.width * 0.8, tone, LABELS["pole"])
    canvas.disc((tip, top + 0.2, z), 0.3, 0.14, canvas.lit(LAMP, z, glows=canvas.air.night), LABELS["pole"])
    canvas.glow((tip, top, z), 2.4, LAMP)


def _traffic_light(canvas: Canvas, thing: Thing, z: float) -> None:
    _pole(canvas, Thing("pole", 0, thing.u, 0.14, thing.height, 0, (70, 72, 74), 1), z)
    low, high, half = thing.height - 1.0, thing.height, 0.2
    box = [(thing.u - half, low, z), (thing.u + half, low, z), (thing.u + half, high, z), (thing.u - half, high, z)]
    canvas.fill(box, canvas.lit((32, 34, 30), z), LABELS["traffic light"])
    lamps: tuple[tuple[float, Colour], ...] = ((0.8, (255, 40, 30)), (0.5, (255, 190, 40)), (0.2, (60, 255, 150)))
    share, colour = lamps[thing.style % 3]
    canvas.disc((thing.u, low + share, z), 0.13, 0.13, canvas.lit(colour, z, glows=True))
    canvas.glow((thing.u, low + share, z), 0.9, colour)


def _traffic_sign(canvas: Canvas, thing: Thing, z: float) -> None:
    """Draw a sign on its pole: a disc, a triangle or a board."""
    _pole(canvas, Thing("pole", 0, thing.u, 0.09, thing.height, 0, (140, 142, 146), 1), z)
    half, label, h = thing.width / 2, LABELS["traffic sign"], thing.height
    tone = canvas.lit(thing.colour, z, 1.1)
    if thing.style % 3 == 0:
        canvas.disc((thing.u, h, z), half, half, tone, label)
        return
    top = 0.0 if thing.style % 3 == 1 else half
    corners = [(thing.u - half, h - half, z), (thing.u + half, h - half, z), (thing.u + top, h + half, z)]
    canvas.fill([*corners, (thing.u - top, h + half, z)], tone, label)


def _gantry(canvas: Canvas, thing: Thing, z: float) -> None:
    """Draw a sign bridge over the road, or a concrete overpass (no class: IGNORE) where the style is odd."""
    left, right = thing.u - thing.width / 2, thing.u + thing.width / 2
    if thing.style % 2:
        low, high = thing.height, thing.height + 1.8
        deck = [(left - 60, low, z), (right + 60, low, z), (right + 60, high, z), (left - 60, high, z)]
        canvas.fill(deck, canvas.lit(thing.colour, z, 0.75), IGNORE)
        for u in (left, right):
            canvas.stroke([(u, 0, z), (u, low, z)], 1.4, canvas.lit(thing.colour, z, 0.65), IGNORE)
        return
    beam = [(left, 0, z), (left, thing.height, z), (right, thing.height, z), (right, 0, z)]
    canvas.stroke(beam, 0.3, canvas.lit((130, 132, 134), z), LABELS["pole"])
    for index in range(2 + thing.style % 3):
        u = left + thing.width * (0.2 + 0.27 * index)
        board = [(u, -1.2), (u + thing.width * 0.2, -1.2), (u + thing.width * 0.2, 1.2), (u, 1.2)]
        tone = canvas.lit((20, 104, 66), z, 1.2)
        canvas.fill([(at, thing.height + h, z) for at, h in board], tone, LABELS["traffic sign"])


def _bin(canvas: Canvas, thing: Thing, z: float) -> None:
    """Draw a box that belongs to no class."""
    _wall(canvas, thing, max(z, NEAR_M), IGNORE)


LINING = frozenset({"building", "house", "wall", "fence", "hedge"})
"""Kinds that stretch along the street."""

PAINTERS: Mapping[str, Callable[[Canvas, Thing, float], None]] = {
    "building": _building, "house": _house, "wall": _strip, "fence": _strip, "hedge": _hedge, "tree": _tree,
    "car": _vehicle, "truck": _vehicle, "bus": _vehicle, "train": _vehicle, "person": _person, "bicycle": _cycle,
    "motorcycle": _cycle, "pole": _pole, "traffic light": _traffic_light, "traffic sign": _traffic_sign,
    "gantry": _gantry, "bin": _bin,
}  # fmt: skip
