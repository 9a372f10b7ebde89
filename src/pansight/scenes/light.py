"""The light of a scene: time of day, sky colours, air, shadows."""

from dataclasses import dataclass

from pansight.scenes.color import Color, mix
from pansight.scenes.dice import Dice


@dataclass(frozen=True, slots=True)
class Light:
    """Everything that the hour and the weather decide.

    Attributes:
        mood: "day", "golden", "dusk" or "overcast".
        zenith, low: sky colour at the top of the image and at the horizon.
        haze: colour of the air that far things fade into; thickness: how much (0..1) at the horizon.
        tint: factors on R, G and B of the whole image.
        sun: (x, y) as shares of image width and sky height; glow: colour around it; visible: whether its
            disc is seen.
        shadow: darkness of cast shadows, 0..1.
        slant: how far a shadow leans sideways a unit of height; reach: how far it comes towards the viewer
            (> 0) or lies behind (< 0) a unit of height.
        side: 1 when light comes from the right, -1 from the left.
        cloud, cover: colour of the clouds and how much of the sky they take (0..1).
        lit: share of windows with a lamp on.
    """

    mood: str
    zenith: Color
    low: Color
    haze: Color
    thickness: float
    tint: tuple[float, float, float]
    sun: tuple[float, float]
    glow: Color
    visible: bool
    shadow: float
    slant: float
    reach: float
    side: int
    cloud: Color
    cover: float
    lit: float


_DAY_SKIES: tuple[tuple[Color, Color], ...] = (
    ((62, 128, 205), (186, 218, 238)),
    ((86, 156, 222), (206, 228, 240)),
    ((48, 108, 186), (160, 204, 232)),
    ((108, 174, 218), (222, 234, 234)),
)
_GOLDEN_SKIES: tuple[tuple[Color, Color], ...] = (
    ((96, 140, 196), (250, 214, 160)),
    ((126, 150, 190), (255, 200, 142)),
    ((86, 122, 178), (248, 196, 168)),
)
_DUSK_SKIES: tuple[tuple[Color, Color], ...] = (
    ((52, 58, 116), (244, 150, 112)),
    ((64, 62, 122), (228, 138, 142)),
    ((38, 62, 112), (238, 176, 120)),
)
_GREY_SKIES: tuple[tuple[Color, Color], ...] = (
    ((148, 160, 174), (206, 212, 216)),
    ((128, 142, 158), (192, 200, 206)),
    ((164, 172, 178), (216, 218, 216)),
)


def sample_light(dice: Dice) -> Light:
    """Light at random: half of the scenes by day, the rest golden, at dusk or overcast."""
    roll = dice.number()
    side = dice.sign()
    sun_x = 0.5 + side * dice.between(0.08, 0.42)
    thickness = dice.between(0.25, 0.6)
    ahead = dice.chance(0.55)
    slant = -side * dice.between(0.25, 0.8)
    reach = dice.between(0.12, 0.3) if ahead else -dice.between(0.12, 0.25)
    if roll < 0.5:
        zenith, low = dice.pick(_DAY_SKIES)
        haze = mix(low, (214, 224, 236), 0.5)
        warm = dice.between(-0.03, 0.04)
        return Light(
            mood="day",
            zenith=zenith,
            low=low,
            haze=haze,
            thickness=thickness,
            tint=(1.02 + warm, 1.01, 1.0 - warm),
            sun=(sun_x, dice.between(0.12, 0.4)),
            glow=(255, 248, 226),
            visible=ahead,
            shadow=dice.between(0.32, 0.45),
            slant=slant,
            reach=reach,
            side=side,
            cloud=(252, 252, 250),
            cover=dice.between(0.1, 0.62),
            lit=0.08,
        )
    if roll < 0.7:
        zenith, low = dice.pick(_GOLDEN_SKIES)
        return Light(
            mood="golden",
            zenith=zenith,
            low=low,
            haze=mix(low, (232, 214, 196), 0.5),
            thickness=thickness,
            tint=(1.08, 0.99, 0.86),
            sun=(sun_x, dice.between(0.45, 0.72)),
            glow=(255, 226, 164),
            visible=ahead,
            shadow=dice.between(0.3, 0.42),
            slant=slant * 1.7,
            reach=reach * 1.3,
            side=side,
            cloud=(255, 232, 206),
            cover=dice.between(0.15, 0.6),
            lit=0.25,
        )
    if roll < 0.82:
        zenith, low = dice.pick(_DUSK_SKIES)
        return Light(
            mood="dusk",
            zenith=zenith,
            low=low,
            haze=mix(low, (120, 104, 140), 0.55),
            thickness=thickness,
            tint=(0.8, 0.74, 0.84),
            sun=(sun_x, dice.between(0.72, 0.86)),
            glow=(255, 176, 112),
            visible=ahead,
            shadow=dice.between(0.12, 0.22),
            slant=slant * 1.7,
            reach=reach,
            side=side,
            cloud=(242, 170, 160),
            cover=dice.between(0.2, 0.6),
            lit=0.6,
        )
    zenith, low = dice.pick(_GREY_SKIES)
    return Light(
        mood="overcast",
        zenith=zenith,
        low=low,
        haze=mix(low, (198, 204, 210), 0.5),
        thickness=min(0.75, thickness + 0.15),
        tint=(0.93, 0.95, 0.97),
        sun=(sun_x, 0.3),
        glow=(226, 230, 232),
        visible=False,
        shadow=dice.between(0.06, 0.14),
        slant=slant * 0.3,
        reach=0.06,
        side=side,
        cloud=(226, 229, 232),
        cover=dice.between(0.6, 0.9),
        lit=0.2,
    )
