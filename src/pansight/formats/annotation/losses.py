"""What a format cannot hold or a file lacks: one phrase for each kind, so that it can be counted."""

from typing import NamedTuple

NO_MASK = "without a mask (segmentation is empty)"
NO_PIXELS = "without a pixel in their image"
HIDDEN = "wholly hidden by others"
OUTSIDE = "largely outside of their image"
SHRUNK = "far smaller than their area says"
STRAY = "with stray points beside their polygons, which were left out"
NO_AREA = "that are lines or points, which cover no area"
RESIZED = "whose mask and box differ in size; the mask was taken as it is"

OVERLAPPED = "partly hidden by others: a panoptic map has one object a pixel"
NO_STUFF = "that are stuff, which this format has no place for; they were left out"
NO_CROWD = "that are crowds, which this format cannot mark; they were written as single objects"
LEFT_CROWD = "that are crowds, which this format has no place for; they were left out"
JOINED_CROWD = "that are crowds of a class with another crowd, and became one with it"
JOINED_PARTS = "in several parts, which were joined by lines: this format has one polygon an object"
NO_OBJECTS = "of classes that this format does not count; they became one segment a class"
NOT_HELD = "whose class or number this format has no place for; they were left out"
NO_TRACK = "that are told apart by no track here: their pixels kept the class, not the object"


class Lost(NamedTuple):
    """One object, its name in messages, and its problem, one of the phrases above."""

    kind: str
    name: str
