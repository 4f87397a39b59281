"""Drives: streets with their weather and all objects on them. Decides their content; rendering is elsewhere."""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from bddseg.data.streets.objects import LABELS, Air, Colour, Thing

VIEW_M = 300.0
SCENES = (("city street", 0.55), ("residential", 0.25), ("highway", 0.20))
WEATHERS = (
    ("clear", 0.45),
    ("overcast", 0.2),
    ("partly cloudy", 0.1),
    ("rainy", 0.12),
    ("snowy", 0.07),
    ("foggy", 0.06),
)
TIMES = (("daytime", 0.62), ("dawn/dusk", 0.18), ("night", 0.2))


@dataclass(frozen=True)
class Drive:
    """One street with its light and weather."""

    name: str
    scene: str
    weather: str
    timeofday: str
    air: Air
    objects: tuple[Thing, ...]
    road_m: tuple[float, float]
    """Left and right edge of the road."""
    walk_m: float
    """Width of the pavements; 0 without."""
    road: Colour
    walk: Colour
    ground: Colour
    ground_label: int
    bend: float
    hill: float


def make_drive(seed: int, index: int) -> Drive:
    """Return a drive, which depends on seed and index alone."""
    rng = np.random.Generator(np.random.PCG64([seed, 0, index]))
    scene, weather, time = (_chosen(rng, table) for table in (SCENES, WEATHERS, TIMES))
    lanes = {"city street": (1, 3), "residential": (1, 1), "highway": (2, 4)}[scene]
    left, right = (float(rng.integers(lanes[0], lanes[1] + 1)) * rng.uniform(3.0, 3.8) for _ in range(2))
    grey = int(rng.integers(60, 135))
    walk = 0.0 if scene == "highway" else rng.uniform(1.5, 5.0) if scene == "city street" else rng.uniform(0.0, 2.2)
    is_paved = scene == "city street" and rng.random() < 0.8
    snow = weather == "snowy"
    earth = (226, 230, 236) if snow else near(rng, (104, 112, 62) if rng.random() < 0.7 else (140, 122, 88), 25)
    return Drive(
        name=hashlib.sha256(f"{seed}/{index}".encode()).hexdigest()[:8],
        scene=scene,
        weather=weather,
        timeofday=time,
        air=_air(rng, weather, time),
        objects=tuple(BUILDERS[scene](rng, -left - walk, right + walk)),
        road_m=(-left, right),
        walk_m=walk,
        road=near(rng, (grey, grey, grey + 3), 8),
        walk=near(rng, (150, 146, 140) if rng.random() < 0.7 else (grey + 12,) * 3, 12),
        ground=near(rng, (150, 146, 140), 14) if is_paved else earth,
        ground_label=LABELS["sidewalk"] if is_paved else LABELS["terrain"],
        bend=rng.normal(0, 0.0011),
        hill=rng.normal(0.0001, 0.0002),
    )


def _air(rng: np.random.Generator, weather: str, time: str) -> Air:
    night, dusk = time == "night", time == "dawn/dusk"
    dim = rng.uniform(0.16, 0.34) if night else rng.uniform(0.5, 0.8) if dusk else rng.uniform(0.8, 1.1)
    warm = rng.uniform(0.0, 0.25) if dusk else rng.uniform(-0.06, 0.06)
    is_dull = weather in ("overcast", "rainy", "snowy", "foggy")
    grey = int(rng.integers(150, 225))
    top: Colour = (grey, grey, grey + 4) if is_dull else near(rng, (92, 140, 205), 22)
    low: Colour = (grey - 8, grey - 6, grey - 4) if is_dull else near(rng, (196, 212, 230), 18)
    if dusk and not is_dull:
        low = near(rng, (236, 178, 132), 16)
    if night:
        top, low = near(rng, (14, 16, 28), 6), near(rng, (44, 40, 48), 10)
    haze = {"foggy": rng.uniform(18, 50), "rainy": rng.uniform(90, 200), "snowy": rng.uniform(80, 180)}
    return Air(
        light=(dim * (1 + warm), dim, dim * (1 - warm)),
        sky_top=top,
        sky_low=low,
        haze_m=haze.get(weather, rng.uniform(220, 900)),
        sun=0 if is_dull or night else int(rng.choice([-1, 1])),
        night=night,
        cloud=rng.uniform(0.2, 0.9) if weather == "partly cloudy" else 0.15 if weather == "clear" else 0.0,
        wet=rng.uniform(0.3, 0.8) if weather == "rainy" else 0.0,
        snow=rng.uniform(0.3, 0.9) if weather == "snowy" else 0.0,
        flakes=rng.uniform(0.5, 3.0) if weather in ("rainy", "snowy") else 0.0,
        gain=rng.uniform(0.82, 1.2),
        contrast=rng.uniform(0.75, 1.25) * (0.8 if weather == "foggy" else 1.0),
        tint=(rng.uniform(0.93, 1.07), 1.0, rng.uniform(0.93, 1.07)),
        noise=rng.uniform(1.0, 4.0) + (5.0 if night else 0.0),
        blur_px=rng.uniform(0.0, 0.8) + (0.4 if weather == "rainy" else 0.0),
    )


def _thing(
    rng: np.random.Generator, kind: str, s: float, u: float, size: tuple[float, float, float], colour: Colour
) -> Thing:
    return Thing(kind, s, u, *size, colour, int(rng.integers(0, 1000)))


def _city(rng: np.random.Generator, left: float, right: float) -> Iterator[Thing]:
    """Yield what lines a city street: a closed front or loose blocks, trees, poles, people, parked and moving cars."""
    density, trees = rng.uniform(0.45, 1.0), rng.uniform(0.0, 0.7)
    for edge, sign in ((left, -1), (right, 1)):
        setback, s = rng.uniform(0.3, 5.0), -20.0
        tall = rng.uniform(7, 38)
        while s < VIEW_M:
            length = rng.uniform(8, 30)
            if rng.random() < density:
                size = (rng.uniform(8, 16), tall * rng.uniform(0.6, 1.4), length)
                yield _thing(rng, "building", s, edge + sign * setback, size, _facade(rng))
            elif rng.random() < 0.5:
                size = (0.3, rng.uniform(1.2, 2.6), length)
                yield _thing(
                    rng,
                    str(rng.choice(["wall", "fence"])),
                    s,
                    edge + sign * setback,
                    size,
                    near(rng, (130, 120, 110), 25),
                )
            s += length + (rng.uniform(0, 9) if rng.random() < 0.3 else 0.0)
        yield from _trees(rng, edge - sign * 0.8, trees, 5, 12)
        yield from _furniture(rng, edge - sign * 0.5, 1.0)
        yield from _people(rng, edge - sign * 1.2, rng.uniform(0.2, 1.2))
        yield from _parked(rng, edge - sign * 3.2 if abs(edge) > 5 else edge, rng.uniform(0.0, 0.7))
    yield from _traffic(rng, left, right, rng.uniform(0.3, 1.3))


def _residential(rng: np.random.Generator, left: float, right: float) -> Iterator[Thing]:
    """Yield houses behind gardens, hedges, many trees, parked cars."""
    trees, hedges = rng.uniform(0.4, 1.2), rng.uniform(0.1, 0.7)
    for edge, sign in ((left, -1), (right, 1)):
        s = -20.0
        while s < VIEW_M:
            size = (rng.uniform(8, 12), rng.uniform(3, 6.5), rng.uniform(8, 14))
            if rng.random() < 0.8:
                yield _thing(rng, "house", s, edge + sign * rng.uniform(4, 12), size, _facade(rng))
            if rng.random() < hedges:
                bush = (rng.uniform(0.8, 2.0), rng.uniform(0.8, 2.4), rng.uniform(5, 14))
                yield _thing(rng, "hedge", s, edge + sign * rng.uniform(0.4, 3), bush, _leaf(rng))
            elif rng.random() < 0.3:
                yield _thing(
                    rng,
                    "fence",
                    s,
                    edge + sign * 0.6,
                    (0.1, rng.uniform(0.8, 1.7), 9.0),
                    near(rng, (160, 150, 140), 30),
                )
            s += rng.uniform(13, 24)
        yield from _trees(rng, edge + sign * rng.uniform(0.5, 3.0), trees, 4, 14)
        yield from _furniture(rng, edge, 0.5)
        yield from _people(rng, edge, rng.uniform(0.0, 0.3))
        yield from _parked(rng, edge - sign * 1.0, rng.uniform(0.1, 0.9))
    yield from _traffic(rng, left, right, rng.uniform(0.1, 0.5))


def _highway(rng: np.random.Generator, left: float, right: float) -> Iterator[Thing]:
    """Yield guard rails, walls of trees, gantries and fast traffic with lorries."""
    green = rng.uniform(0.2, 1.0)
    for edge, sign in ((left, -1), (right, 1)):
        kind, high = ("wall", rng.uniform(1.0, 4.5)) if rng.random() < 0.35 else ("fence", 0.8)
        for s in np.arange(-20.0, VIEW_M, 30.0).tolist():
            yield _thing(rng, kind, s, edge + sign * 1.6, (0.3, high, 30.0), near(rng, (150, 150, 148), 14))
            if rng.random() < green:
                size = (6.0, rng.uniform(3, 11), rng.uniform(15, 30))
                yield _thing(rng, "hedge", s, edge + sign * rng.uniform(5, 16), size, _leaf(rng))
            if rng.random() < 0.12:
                size = (20.0, rng.uniform(6, 20), rng.uniform(15, 30))
                yield _thing(rng, "building", s, edge + sign * rng.uniform(18, 40), size, _facade(rng))
        yield from _trees(rng, edge + sign * rng.uniform(4, 9), green * 0.5, 5, 12)
        yield from _furniture(rng, edge + sign * 1.5, 0.25)
    if rng.random() < 0.6:
        size = (right - left + 2, rng.uniform(5.5, 7.5), 0.0)
        yield _thing(rng, "gantry", rng.uniform(25, 160), (left + right) / 2, size, (148, 146, 142))
    yield from _traffic(rng, left, right, rng.uniform(0.5, 1.8), lorries=0.35)


BUILDERS: dict[str, Callable[[np.random.Generator, float, float], Iterator[Thing]]] = {
    "city street": _city,
    "residential": _residential,
    "highway": _highway,
}


def _trees(rng: np.random.Generator, u: float, density: float, low: float, high: float) -> Iterator[Thing]:
    for s in np.arange(2.0, VIEW_M, 11.0).tolist():
        if rng.random() < density:
            height = rng.uniform(low, high)
            size = (height * rng.uniform(0.45, 0.9), height, 0.0)
            yield _thing(rng, "tree", s + rng.uniform(0, 8), u + rng.normal(0, 0.6), size, _leaf(rng))


def _furniture(rng: np.random.Generator, u: float, density: float) -> Iterator[Thing]:
    spacing = rng.uniform(18, 40)
    for s in np.arange(rng.uniform(4, 20), VIEW_M, spacing).tolist():
        if rng.random() < density:
            yield _thing(rng, "pole", s, u, (rng.uniform(0.1, 0.22), rng.uniform(5, 9), 0.0), (112, 112, 110))
        if rng.random() < 0.25 * density:
            yield _thing(rng, "traffic light", s + 4, u, (0.4, rng.uniform(2.8, 5.5), 0.0), (60, 60, 60))
        if rng.random() < 0.35 * density:
            tone = ((188, 30, 36), (36, 74, 160), (228, 228, 226), (232, 190, 40))[int(rng.integers(0, 4))]
            yield _thing(rng, "traffic sign", s + 9, u, (rng.uniform(0.5, 0.9), rng.uniform(2.2, 3.2), 0.0), tone)
        if rng.random() < 0.2 * density:
            yield _thing(rng, "bin", s + 2, u, (0.6, 1.0, 0.6), near(rng, (70, 90, 80), 25))


def _people(rng: np.random.Generator, u: float, density: float) -> Iterator[Thing]:
    for s in np.arange(5.0, 120.0, 9.0).tolist():
        if rng.random() < density * 0.5:
            kind = str(rng.choice(["person", "person", "person", "bicycle", "motorcycle"]))
            size = (0.55, rng.uniform(1.5, 1.9), 0.0)
            yield _thing(rng, kind, s + rng.uniform(0, 6), u + rng.normal(0, 0.7), size, paint(rng))


def _parked(rng: np.random.Generator, u: float, density: float) -> Iterator[Thing]:
    for s in np.arange(3.0, 160.0, 6.2).tolist():
        if rng.random() < density:
            yield _thing(rng, "car", s, u, (1.8, rng.uniform(1.4, 1.9), 4.3), paint(rng))


def _traffic(
    rng: np.random.Generator, left: float, right: float, density: float, lorries: float = 0.1
) -> Iterator[Thing]:
    for s in np.arange(7.0, 220.0, 14.0).tolist():
        if rng.random() > density:
            continue
        u = rng.uniform(left + 1.6, right - 1.6)
        roll = rng.random()
        if roll < lorries:
            kind = str(rng.choice(["truck", "bus"]))
            yield _thing(rng, kind, s, u, (2.5, rng.uniform(2.8, 3.9), rng.uniform(7, 12)), paint(rng))
        else:
            across = roll > 0.96
            size = (4.4, 1.5, 1.8) if across else (1.8, rng.uniform(1.35, 1.95), 4.4)
            yield _thing(rng, "car", s, u, size, paint(rng))


def _chosen(rng: np.random.Generator, table: tuple[tuple[str, float], ...]) -> str:
    names, shares = zip(*table, strict=True)
    return str(rng.choice(names, p=np.array(shares) / sum(shares)))


def near(rng: np.random.Generator, colour: tuple[int, ...], spread: int) -> Colour:
    """Return a colour near another."""
    shifts = rng.integers(-spread, spread + 1, 3).tolist()
    red, green, blue = (max(0, min(255, value + shift)) for value, shift in zip(colour, shifts, strict=True))
    return red, green, blue


def _facade(rng: np.random.Generator) -> Colour:
    tones = ((178, 164, 142), (150, 92, 74), (196, 196, 196), (112, 116, 124), (208, 186, 140), (122, 104, 92))
    return near(rng, tones[int(rng.integers(0, len(tones)))], 22)


def _leaf(rng: np.random.Generator) -> Colour:
    tones = ((62, 92, 44), (48, 78, 40), (98, 110, 50), (150, 106, 44), (72, 86, 62))
    return near(rng, tones[int(rng.integers(0, len(tones)))], 16)


def paint(rng: np.random.Generator) -> Colour:
    """Return the colour of a vehicle or of clothes."""
    tones = (
        (28, 28, 32),
        (226, 226, 224),
        (150, 152, 156),
        (104, 106, 110),
        (140, 26, 28),
        (30, 54, 110),
        (84, 96, 70),
    )
    return near(rng, tones[int(rng.integers(0, len(tones)))], 14)
