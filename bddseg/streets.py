"""Procedural street scenes in the BDD100K layout: the embedded default data, deterministic and deliberately hard.

A drive is a street with its own buildings, trees, traffic, light and weather; its frames look along it from places some
metres apart. City, residential and highway scenes differ, and so does every drive from the next of its kind.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock
from PIL import Image, ImageEnhance, ImageFilter

from bddseg.labels import BDD_CLASSES, IGNORE
from bddseg.painters import DEPTHS_M, GRAIN, LABELS, LINING, NEAR_M, OVERSAMPLING, PAINTERS, Air, Camera, Canvas
from bddseg.painters import Colour, Thing

VERSION = 1
"""Raised by one whenever the same settings would give other pictures."""

SETTINGS_FILE, WRONG_FILE = "streets.json", "wrong_masks.json"
IMAGES, SEED, WIDTH_PX, HEIGHT_PX = 260, 7, 320, 180
FRAMES_PER_DRIVE = 5
WRONG_SHARE = 0.04
"""Share of the masks in which the road is missing, as it is in some of BDD100K's."""

VIEW_M = 300.0
SCENES = (("city street", 0.55), ("residential", 0.25), ("highway", 0.20))
WEATHERS = (("clear", 0.45), ("overcast", 0.2), ("partly cloudy", 0.1), ("rainy", 0.12), ("snowy", 0.07), ("foggy", 0.06))
TIMES = (("daytime", 0.62), ("dawn/dusk", 0.18), ("night", 0.2))


@dataclass(frozen=True)
class Drive:
    """One street under one sky."""

    name: str
    scene: str
    weather: str
    timeofday: str
    air: Air
    things: tuple[Thing, ...]
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


def streets_folder(
    cache: Path, *, images: int = IMAGES, seed: int = SEED, width: int = WIDTH_PX, height: int = HEIGHT_PX
) -> Path:
    """Return where in a cache the scenes of these settings lie; the name tells settings and version apart."""
    text = json.dumps([VERSION, images, seed, width, height])
    return cache / f"streets-{hashlib.sha256(text.encode()).hexdigest()[:12]}"


def write_streets(
    root: Path, *, images: int = IMAGES, seed: int = SEED, width: int = WIDTH_PX, height: int = HEIGHT_PX
) -> None:
    """Write so many usable images with masks and scenes, and a few that lack something, as in the real data.

    The folder appears whole or not at all. One that was made with the same settings is left as it is.
    """
    settings = {"version": VERSION, "images": images, "seed": seed, "width": width, "height": height}
    root = root.absolute()
    root.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(root.parent / f".{root.name}.lock"):
        if _settings_of(root) == settings:
            return
        temporary = root.parent / f".{root.name}-{os.getpid()}"
        shutil.rmtree(temporary, ignore_errors=True)
        try:
            _write_all(temporary, images, seed, (width, height))
            (temporary / SETTINGS_FILE).write_text(json.dumps(settings))
            shutil.rmtree(root, ignore_errors=True)
            temporary.rename(root)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


def _settings_of(root: Path) -> Any:
    try:
        return json.loads((root / SETTINGS_FILE).read_text())
    except (OSError, ValueError):
        return None


def _write_all(root: Path, images: int, seed: int, size: tuple[int, int]) -> None:
    entries: dict[str, list[dict[str, Any]]] = {"train": [], "val": []}
    wrong: list[str] = []
    for part in entries:
        for folder in ("images/10k", "labels/sem_seg/masks"):
            (root / folder / part).mkdir(parents=True)
    without_scene, unlabelled = max(1, images // 70), max(2, images // 40)
    for index, (drive, frame, name) in enumerate(_frames(seed, images + without_scene + unlabelled)):
        is_unlabelled = index >= images + without_scene
        rng = np.random.Generator(np.random.PCG64([seed, 1, index]))
        picture, mask = draw(drive, frame, size, rng)
        if index < images and rng.random() < WRONG_SHARE:
            mask = np.where(mask == LABELS["road"], rng.choice([IGNORE, LABELS["sidewalk"]]), mask).astype(np.uint8)
            wrong.append(name)
        part = "val" if is_unlabelled else "train"
        picture.save(root / "images/10k" / part / f"{name}.jpg", quality=int(rng.integers(70, 93)))
        Image.fromarray(mask).save(root / "labels/sem_seg/masks" / part / f"{name}.png")
        if index < images:
            entries["val" if index % 8 == 7 else "train"].append(_entry(drive, name))
        elif index % 2:  # an entry whose image is not in the 10k subset
            entries["train"].append(_entry(drive, f"{name[:8]}-{index:08x}"))
    (root / "labels/det_20").mkdir(parents=True)
    for part, found in entries.items():
        (root / f"labels/det_20/det_{part}.json").write_text(json.dumps(found))
    (root / WRONG_FILE).write_text(json.dumps(sorted(wrong), indent=1))


def _entry(drive: Drive, name: str) -> dict[str, Any]:
    attributes = {"weather": drive.weather, "timeofday": drive.timeofday, "scene": drive.scene}
    return {"name": f"{name}.jpg", "attributes": attributes, "timestamp": 10000, "labels": []}


def _frames(seed: int, number: int) -> Iterator[tuple[Drive, int, str]]:
    """Yield so many frames: drive, index in the drive, name."""
    done = index = 0
    while done < number:
        drive = make_drive(seed, index)
        for frame in range(min(FRAMES_PER_DRIVE - 1 + index % 3, number - done)):
            digest = hashlib.sha256(f"{seed}/{index}/{frame}".encode()).hexdigest()[:8]
            yield drive, frame, f"{drive.name}-{digest}"
            done += 1
        index += 1


def make_drive(seed: int, index: int) -> Drive:
    """Return a drive: equal for equal seed and index, whatever was made before."""
    rng = np.random.Generator(np.random.PCG64([seed, 0, index]))
    scene, weather, time = (_chosen(rng, table) for table in (SCENES, WEATHERS, TIMES))
    lanes = {"city street": (1, 3), "residential": (1, 1), "highway": (2, 4)}[scene]
    left, right = (float(rng.integers(lanes[0], lanes[1] + 1)) * rng.uniform(3.0, 3.8) for _ in range(2))
    grey = int(rng.integers(60, 135))
    walk = 0.0 if scene == "highway" else rng.uniform(1.5, 5.0) if scene == "city street" else rng.uniform(0.0, 2.2)
    is_paved = scene == "city street" and rng.random() < 0.8
    snow = weather == "snowy"
    earth = (226, 230, 236) if snow else _near(rng, (104, 112, 62) if rng.random() < 0.7 else (140, 122, 88), 25)
    return Drive(
        name=hashlib.sha256(f"{seed}/{index}".encode()).hexdigest()[:8],
        scene=scene,
        weather=weather,
        timeofday=time,
        air=_air(rng, weather, time),
        things=tuple(BUILDERS[scene](rng, -left - walk, right + walk)),
        road_m=(-left, right),
        walk_m=walk,
        road=_near(rng, (grey, grey, grey + 3), 8),
        walk=_near(rng, (150, 146, 140) if rng.random() < 0.7 else (grey + 12,) * 3, 12),
        ground=_near(rng, (150, 146, 140), 14) if is_paved else earth,
        ground_label=LABELS["sidewalk"] if is_paved else LABELS["terrain"],
        bend=rng.normal(0, 0.0011),
        hill=rng.normal(0, 0.0006),
    )


def _air(rng: np.random.Generator, weather: str, time: str) -> Air:
    night, dusk = time == "night", time == "dawn/dusk"
    dim = rng.uniform(0.16, 0.34) if night else rng.uniform(0.5, 0.8) if dusk else rng.uniform(0.8, 1.1)
    warm = rng.uniform(0.0, 0.25) if dusk else rng.uniform(-0.06, 0.06)
    is_dull = weather in ("overcast", "rainy", "snowy", "foggy")
    grey = int(rng.integers(150, 225))
    top: Colour = (grey, grey, grey + 4) if is_dull else _near(rng, (92, 140, 205), 22)
    low: Colour = (grey - 8, grey - 6, grey - 4) if is_dull else _near(rng, (196, 212, 230), 18)
    if dusk and not is_dull:
        low = _near(rng, (236, 178, 132), 16)
    if night:
        top, low = _near(rng, (14, 16, 28), 6), _near(rng, (44, 40, 48), 10)
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


def _thing(rng: np.random.Generator, kind: str, s: float, u: float, size: tuple[float, float, float], colour: Colour) -> Thing:
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
                yield _thing(rng, str(rng.choice(["wall", "fence"])), s, edge + sign * setback, size, _near(rng, (130, 120, 110), 25))
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
                yield _thing(rng, "fence", s, edge + sign * 0.6, (0.1, rng.uniform(0.8, 1.7), 9.0), _near(rng, (160, 150, 140), 30))
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
        for s in np.arange(-20.0, VIEW_M, 30.0):
            yield _thing(rng, kind, s, edge + sign * 1.6, (0.3, high, 30.0), _near(rng, (150, 150, 148), 14))
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
    for s in np.arange(2.0, VIEW_M, 11.0):
        if rng.random() < density:
            height = rng.uniform(low, high)
            size = (height * rng.uniform(0.45, 0.9), height, 0.0)
            yield _thing(rng, "tree", s + rng.uniform(0, 8), u + rng.normal(0, 0.6), size, _leaf(rng))


def _furniture(rng: np.random.Generator, u: float, density: float) -> Iterator[Thing]:
    spacing = rng.uniform(18, 40)
    for s in np.arange(rng.uniform(4, 20), VIEW_M, spacing):
        if rng.random() < density:
            yield _thing(rng, "pole", s, u, (rng.uniform(0.1, 0.22), rng.uniform(5, 9), 0.0), (112, 112, 110))
        if rng.random() < 0.25 * density:
            yield _thing(rng, "traffic light", s + 4, u, (0.4, rng.uniform(2.8, 5.5), 0.0), (60, 60, 60))
        if rng.random() < 0.35 * density:
            tone = ((188, 30, 36), (36, 74, 160), (228, 228, 226), (232, 190, 40))[int(rng.integers(0, 4))]
            yield _thing(rng, "traffic sign", s + 9, u, (rng.uniform(0.5, 0.9), rng.uniform(2.2, 3.2), 0.0), tone)
        if rng.random() < 0.2 * density:
            yield _thing(rng, "bin", s + 2, u, (0.6, 1.0, 0.6), _near(rng, (70, 90, 80), 25))


def _people(rng: np.random.Generator, u: float, density: float) -> Iterator[Thing]:
    for s in np.arange(5.0, 120.0, 9.0):
        if rng.random() < density * 0.5:
            kind = str(rng.choice(["person", "person", "person", "bicycle", "motorcycle"]))
            size = (0.55, rng.uniform(1.5, 1.9), 0.0)
            yield _thing(rng, kind, s + rng.uniform(0, 6), u + rng.normal(0, 0.7), size, _paint(rng))


def _parked(rng: np.random.Generator, u: float, density: float) -> Iterator[Thing]:
    for s in np.arange(3.0, 160.0, 6.2):
        if rng.random() < density:
            yield _thing(rng, "car", s, u, (1.8, rng.uniform(1.4, 1.9), 4.3), _paint(rng))


def _traffic(rng: np.random.Generator, left: float, right: float, density: float, lorries: float = 0.1) -> Iterator[Thing]:
    for s in np.arange(7.0, 220.0, 14.0):
        if rng.random() > density:
            continue
        u = rng.uniform(left + 1.6, right - 1.6)
        roll = rng.random()
        if roll < lorries:
            kind = str(rng.choice(["truck", "bus"]))
            yield _thing(rng, kind, s, u, (2.5, rng.uniform(2.8, 3.9), rng.uniform(7, 12)), _paint(rng))
        else:
            across = roll > 0.96
            size = (4.4, 1.5, 1.8) if across else (1.8, rng.uniform(1.35, 1.95), 4.4)
            yield _thing(rng, "car", s, u, size, _paint(rng))


def draw(drive: Drive, frame: int, size: tuple[int, int], rng: np.random.Generator) -> tuple[Image.Image, np.ndarray]:
    """Return a frame's picture and its mask.

    Shape:
        mask: (H, W), uint8, BDD100K mask values.
    """
    canvas = Canvas(_camera(drive, frame, size, rng), drive.air)
    _sky(canvas, rng)
    _ground(canvas, drive)
    for thing in sorted(drive.things, key=lambda thing: -thing.far):
        z = thing.s - canvas.camera.s
        is_behind = z + (thing.length if thing.kind in LINING else 0.0) <= NEAR_M + 0.4
        if not is_behind and z < VIEW_M:
            PAINTERS[thing.kind](canvas, thing, z)
    _bonnet(canvas, rng)
    return _developed(canvas, rng)


def _camera(drive: Drive, frame: int, size: tuple[int, int], rng: np.random.Generator) -> Camera:
    width, height = (side * OVERSAMPLING for side in size)
    mount = np.random.Generator(np.random.PCG64([int(drive.name, 16), 5]))  # the same in every frame of a drive
    lane = mount.uniform(0.2, 0.8) * drive.road_m[1]
    return Camera(
        width_px=width,
        height_px=height,
        focal_px=width * mount.uniform(0.55, 0.95),
        centre_px=width * (mount.uniform(0.36, 0.64) + rng.normal(0, 0.02)),
        horizon_px=height * (mount.uniform(0.3, 0.64) + rng.normal(0, 0.015)),
        tilt=mount.normal(0, 0.014) + rng.normal(0, 0.006),
        s=frame * mount.uniform(5, 14),
        u=lane + rng.normal(0, 0.3),
        h=mount.uniform(1.15, 2.2),
        bend=drive.bend,
        swerve=0.0,
        hill=drive.hill,
    )


def _sky(canvas: Canvas, rng: np.random.Generator) -> None:
    camera, air = canvas.camera, canvas.air
    rows = np.clip(np.arange(camera.height_px) / max(1.0, camera.horizon_px), 0, 1)[:, None]
    colours = (np.array(air.sky_top) * (1 - rows) + np.array(air.sky_low) * rows).astype(np.uint8)
    full = np.broadcast_to(colours[:, None], (camera.height_px, camera.width_px, 3))
    canvas.picture.paste(Image.fromarray(np.ascontiguousarray(full)))
    canvas.mask.paste(LABELS["sky"], (0, 0, camera.width_px, camera.height_px))
    for _ in range(int(air.cloud * 30)):
        x, y = rng.uniform(0, camera.width_px), rng.uniform(0, camera.horizon_px * 0.9)
        across = rng.uniform(0.03, 0.16) * camera.width_px
        white = int(rng.integers(190, 250)) if not air.night else 40
        canvas.veil.ellipse((x - across, y - across / 4, x + across, y + across / 4), fill=(white, white, white, 90))


def _ground(canvas: Canvas, drive: Drive) -> None:
    """Fill the ground from far to near, with pavements, road and lane marks."""
    camera, snow = canvas.camera, drive.air.snow
    left, right = drive.road_m
    far = camera.place((0.0, 0.0, DEPTHS_M[-1]))[1]
    box = [(-camera.width_px, far), (2 * camera.width_px, far)]
    below = [(2 * camera.width_px, 2 * camera.height_px), (-camera.width_px, 2 * camera.height_px)]
    canvas.pen.polygon(box + below, fill=canvas.lit(drive.ground, 120.0))
    canvas.label_pen.polygon(box + below, fill=drive.ground_label)
    bands = [(-4e3, 4e3, drive.ground, drive.ground_label)]
    if drive.walk_m:
        bands.append((left - drive.walk_m, right + drive.walk_m, drive.walk, LABELS["sidewalk"]))
    road = tuple(int(c * (1 - 0.5 * snow) + 215 * 0.5 * snow) for c in drive.road)
    bands.append((left, right, road, LABELS["road"]))  # type: ignore[arg-type]
    for start, stop, colour, label in bands:
        for near, distant in reversed(list(zip(DEPTHS_M, DEPTHS_M[1:], strict=False))):
            tone = canvas.lit(colour, (near + distant) / 2, 1.0 - 0.25 * drive.air.wet)
            corners = ((start, near), (stop, near), (stop, distant), (start, distant))
            canvas.fill([(_in_view(u, z, camera.u), 0, z) for u, z in corners], tone, label)
    if snow < 0.6:
        _marks(canvas, drive)


def _in_view(u: float, z: float, middle: float) -> float:
    """Return a place across the street, moved in to just outside the picture: far out, corners would be cut crooked."""
    return middle + max(-4 * z, min(4 * z, u - middle))


def _marks(canvas: Canvas, drive: Drive) -> None:
    left, right = drive.road_m
    offset = canvas.camera.s % 12
    for u in (0.0, *(np.arange(3.5, right - 1, 3.5)), *(-np.arange(3.5, -left - 1, 3.5))):
        for start in np.arange(0.0, 84.0, 12.0):
            z = start - offset
            if z < NEAR_M:
                continue
            tone = canvas.lit((214, 214, 208), z)
            canvas.fill([(u - 0.07, 0, z), (u + 0.07, 0, z), (u + 0.07, 0, z + 4), (u - 0.07, 0, z + 4)], tone)


def _bonnet(canvas: Canvas, rng: np.random.Generator) -> None:
    """Draw the recording car's bonnet: it belongs to no class."""
    width, height = canvas.camera.width_px, canvas.camera.height_px
    mount = np.random.Generator(np.random.PCG64([int(canvas.camera.focal_px * 1000), 6]))
    if mount.random() < 0.25:
        return
    high, middle = height * mount.uniform(0.03, 0.13), width * mount.uniform(0.4, 0.6)
    box = (middle - width * 0.7, height - high, middle + width * 0.7, height + 6 * high)
    tone = canvas.lit(_paint(mount), 1.0, 0.5)
    canvas.pen.ellipse(box, fill=tone)
    canvas.label_pen.ellipse(box, fill=IGNORE)


def _developed(canvas: Canvas, rng: np.random.Generator) -> tuple[Image.Image, np.ndarray]:
    """Return the picture as a camera would give it, and the mask, at image size."""
    air = canvas.air
    mask = np.asarray(canvas.mask)[::OVERSAMPLING, ::OVERSAMPLING].copy()
    picture = canvas.picture.resize(mask.shape[::-1], Image.Resampling.BOX)
    strength = np.full(256, 5.0)
    for name in BDD_CLASSES:
        strength[LABELS[name]] = GRAIN.get(name, 5)
    pixels = np.asarray(picture).astype(np.float64)
    grain = rng.integers(-100, 101, mask.shape) / 100 * strength[mask] * (0.35 if air.night else 1.0)
    pixels += grain[..., None] + rng.integers(-100, 101, pixels.shape) / 100 * air.noise
    if air.flakes:
        drops = rng.random(mask.shape) < air.flakes / 1000 * 4
        pixels[drops] = pixels[drops] * 0.4 + 0.6 * (235 if air.snow else 180) * air.light[1]
    pixels *= np.array(air.tint) * air.gain
    done = Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))
    done = done.filter(ImageFilter.GaussianBlur(air.blur_px)) if air.blur_px > 0.3 else done
    return ImageEnhance.Contrast(done).enhance(air.contrast), mask


def _chosen(rng: np.random.Generator, table: tuple[tuple[str, float], ...]) -> str:
    names, shares = zip(*table, strict=True)
    return str(rng.choice(names, p=np.array(shares) / sum(shares)))


def _near(rng: np.random.Generator, colour: tuple[int, ...], spread: int) -> Colour:
    """Return a colour near another."""
    red, green, blue = (int(np.clip(value + rng.integers(-spread, spread + 1), 0, 255)) for value in colour)
    return red, green, blue


def _facade(rng: np.random.Generator) -> Colour:
    tones = ((178, 164, 142), (150, 92, 74), (196, 196, 196), (112, 116, 124), (208, 186, 140), (122, 104, 92))
    return _near(rng, tones[int(rng.integers(0, len(tones)))], 22)


def _leaf(rng: np.random.Generator) -> Colour:
    tones = ((62, 92, 44), (48, 78, 40), (98, 110, 50), (150, 106, 44), (72, 86, 62))
    return _near(rng, tones[int(rng.integers(0, len(tones)))], 16)


def _paint(rng: np.random.Generator) -> Colour:
    tones = ((28, 28, 32), (226, 226, 224), (150, 152, 156), (104, 106, 110), (140, 26, 28), (30, 54, 110), (84, 96, 70))
    return _near(rng, tones[int(rng.integers(0, len(tones)))], 14)
