"""Numbers of the body parts in the id buffer, and which parts show which keypoint."""

from __future__ import annotations

PELVIS = 1
TORSO = 2
NECK = 3
SKULL = 4
FACE = 5
LEFT_EAR = 6
LEFT_UPPER_ARM = 8
LEFT_FOREARM = 10
LEFT_HAND = 12
LEFT_THIGH = 14
LEFT_SHIN = 16
LEFT_FOOT = 18
SKIRT = 20
HAIR = 21
"""A right part's number is its left one's + 1."""

PARTS_PER_PERSON = 32
"""Id of a pixel: (person + 1) * PARTS_PER_PERSON + part; 0 is background, less than 32 an object in front."""

OBJECT = 1


def code(person: int, part: int) -> int:
    """Value in the id buffer of a part of the person with this index."""
    return (person + 1) * PARTS_PER_PERSON + part


SHOWN_BY: tuple[tuple[int, ...], ...] = (
    (FACE,),
    (FACE,),
    (FACE,),
    (LEFT_EAR,),
    (LEFT_EAR + 1,),
    (LEFT_UPPER_ARM, TORSO),
    (LEFT_UPPER_ARM + 1, TORSO),
    (LEFT_UPPER_ARM, LEFT_FOREARM),
    (LEFT_UPPER_ARM + 1, LEFT_FOREARM + 1),
    (LEFT_FOREARM, LEFT_HAND),
    (LEFT_FOREARM + 1, LEFT_HAND + 1),
    (LEFT_THIGH, PELVIS, SKIRT),
    (LEFT_THIGH + 1, PELVIS, SKIRT),
    (LEFT_THIGH, LEFT_SHIN),
    (LEFT_THIGH + 1, LEFT_SHIN + 1),
    (LEFT_SHIN, LEFT_FOOT),
    (LEFT_SHIN + 1, LEFT_FOOT + 1),
)
"""Per COCO keypoint, the parts of its own person that show it when they are on top at its pixel."""
