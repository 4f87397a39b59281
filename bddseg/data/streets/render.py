"""Renders a frame of a drive: camera, sky, ground, objects from far to near, and the finished picture."""

import itertools

import numpy as np
from PIL import Image, ImageEnhance, ImageFilter

from bddseg.data.bdd100k_labels import MASK_COLOURS
from bddseg.data.streets.objects import DEPTHS_M, GRAIN, LABELS, LINING, NEAR_M, OVERSAMPLING, PAINTERS, Camera, Canvas
from bddseg.data.streets.scene import VIEW_M, Drive, paint
from bddseg.task import IGNORE

PERCENT = np.arange(-100, 101) / 100
BLOCK_ROWS = 16
"""Rows that get their noise at once: few enough that the numbers stay in the processor's cache."""


def draw(drive: Drive, frame: int, size: tuple[int, int], rng: np.random.Generator) -> tuple[Image.Image, np.ndarray]:
    """Return a frame's picture and its mask.

    Shape:
        mask: (H, W), uint8, BDD100K mask values.
    """
    canvas = Canvas(_camera(drive, frame, size, rng), drive.air)
    _sky(canvas, rng)
    _ground(canvas, drive)
    for thing in sorted(drive.objects, key=lambda thing: -thing.far):
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
    column = Image.fromarray(np.ascontiguousarray(colours[:, None]))
    canvas.picture.paste(column.resize(canvas.picture.size, Image.Resampling.NEAREST))
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
        for near, distant in reversed(list(itertools.pairwise(DEPTHS_M))):
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
    for u in (0.0, *np.arange(3.5, right - 1, 3.5).tolist(), *(-np.arange(3.5, -left - 1, 3.5)).tolist()):
        for start in np.arange(0.0, 84.0, 12.0).tolist():
            z = start - offset
            if z < NEAR_M:
                continue
            tone = canvas.lit((214, 214, 208), z)
            canvas.fill([(u - 0.07, 0, z), (u + 0.07, 0, z), (u + 0.07, 0, z + 4), (u - 0.07, 0, z + 4)], tone)


def _bonnet(canvas: Canvas, rng: np.random.Generator) -> None:
    """Draw the bonnet of the recording car, which belongs to no class."""
    width, height = canvas.camera.width_px, canvas.camera.height_px
    mount = np.random.Generator(np.random.PCG64([int(canvas.camera.focal_px * 1000), 6]))
    if mount.random() < 0.1:
        return
    high, middle = height * mount.uniform(0.03, 0.13), width * mount.uniform(0.4, 0.6)
    box = (middle - width * 0.7, height - high, middle + width * 0.7, height + 6 * high)
    tone = canvas.lit(paint(mount), 1.0, 0.5)
    canvas.pen.ellipse(box, fill=tone)
    canvas.label_pen.ellipse(box, fill=IGNORE)


def _developed(canvas: Canvas, rng: np.random.Generator) -> tuple[Image.Image, np.ndarray]:
    """Return the picture with the camera's blur and noise, and the mask, at image size."""
    air = canvas.air
    mask = np.asarray(canvas.mask)[::OVERSAMPLING, ::OVERSAMPLING].copy()
    picture = canvas.picture.resize(mask.shape[::-1], Image.Resampling.BOX)
    strength = np.full(256, 5.0)
    for name in MASK_COLOURS:
        strength[LABELS[name]] = GRAIN.get(name, 5)
    grain = PERCENT.take(rng.integers(0, 201, mask.shape)) * strength.take(mask) * (0.35 if air.night else 1.0)
    pixels = np.asarray(picture).astype(np.float64)
    for top in range(0, len(pixels), BLOCK_ROWS):
        rows = pixels[top : top + BLOCK_ROWS]
        rows += grain[top : top + BLOCK_ROWS, :, None] + (PERCENT * air.noise).take(rng.integers(0, 201, rows.shape))
    if air.flakes:
        drops = rng.random(mask.shape) < air.flakes / 1000 * 4
        pixels[drops] = pixels[drops] * 0.4 + 0.6 * (235 if air.snow else 180) * air.light[1]
    lines = pixels.reshape(len(pixels), -1)
    lines *= np.tile(np.array(air.tint) * air.gain, pixels.shape[1])
    done = Image.fromarray(np.clip(pixels, 0, 255, out=pixels).astype(np.uint8))
    done = done.filter(ImageFilter.GaussianBlur(air.blur_px)) if air.blur_px > 0.3 else done
    return ImageEnhance.Contrast(done).enhance(air.contrast), mask
