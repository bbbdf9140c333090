"""What a person wears: garments, their lengths and surfaces, hair and what is on the head."""

from __future__ import annotations

from dataclasses import dataclass

from numpy.random import Generator

from danet.scenes.sampling import between, coin, pick
from danet.scenes.textures import PATTERNS, Color, Material, cloth, cloth_color, hair, skin


@dataclass(frozen=True)
class Outfit:
    """Surfaces and lengths.

    Args:
        skin: of face, hands and bare limbs.
        top: shirt, jacket or dress.
        bottom: trousers, shorts or skirt.
        shoes: footwear; the skin when barefoot.
        hair: hair, and the beard if any.
        hat: cap, helmet, hood or scarf.
        sleeve: covered share of the arm, 0 bare to 1 down to the wrist.
        leg: covered share of the leg, 0 briefs to 1 down to the ankle.
        skirt: length in shares of the leg; 0 for none.
        looseness: garment radius over limb radius.
        hem: how far below the waist the top hangs over the bottom, 0 tucked in to 1 below the hips.
        hair_style: one of HAIR_STYLES.
        headwear: one of HEADWEAR.
        glasses: "none", "clear" or "dark".
        beard: whether the lower face is bearded.
    """

    skin: Material
    top: Material
    bottom: Material
    shoes: Material
    hair: Material
    hat: Material
    sleeve: float
    leg: float
    skirt: float
    looseness: float
    hem: float
    hair_style: str
    headwear: str
    glasses: str
    beard: bool


HAIR_STYLES = ("bald", "buzz", "short", "full", "bob", "long", "ponytail", "bun", "afro")
HEADWEAR = ("none", "cap", "beanie", "helmet", "scarf")


def sample_outfit(rng: Generator) -> Outfit:
    """Clothes for any season, matching or not."""
    skin_surface, headwear = skin(rng), pick(rng, HEADWEAR, (14, 2, 1, 1.6, 0.5))
    top = _garment(rng)
    dress = coin(rng, 0.1)
    bare_chest = not dress and coin(rng, 0.05)
    bottom = top if dress or coin(rng, 0.08) else _garment(rng, plain=0.8)
    return Outfit(
        skin=skin_surface,
        top=skin_surface if bare_chest else top,
        bottom=bottom,
        shoes=skin_surface if coin(rng, 0.12) else _garment(rng, plain=0.9),
        hair=hair(rng),
        hat=top if headwear == "none" else _garment(rng, plain=0.7),
        sleeve=0.0 if bare_chest else pick(rng, (0.0, between(rng, 0.2, 0.48), between(rng, 0.5, 0.85), 1.0), _SLEEVES),
        leg=pick(rng, (between(rng, 0.05, 0.2), between(rng, 0.25, 0.5), between(rng, 0.6, 0.85), 1.0), _LEGS),
        skirt=between(rng, 0.22, 0.85) if dress or coin(rng, 0.07) else 0.0,
        looseness=1.06 + abs(float(rng.normal(0, 0.2))),
        hem=0.0 if bare_chest or coin(rng, 0.25) else between(rng, 0.2, 1.0),
        hair_style=pick(rng, HAIR_STYLES, (1, 1, 5, 3, 2, 3, 1.5, 1, 0.6)),
        headwear=headwear,
        glasses=pick(rng, ("none", "clear", "dark"), (8, 1, 1.2)),
        beard=coin(rng, 0.12),
    )


_SLEEVES = (1.5, 4, 1, 5)
_LEGS = (1, 2.5, 1, 8)


def _garment(rng: Generator, plain: float = 0.5) -> Material:
    color: Color = cloth_color(rng)
    pattern = "plain" if coin(rng, plain) else pick(rng, PATTERNS)
    return cloth(rng, color, cloth_color(rng), pattern)
