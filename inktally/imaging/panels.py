"""Parts of a page that are printed the other way round: bars, heads and panes of light letters on a dark ground."""

from __future__ import annotations

import cv2
import numpy as np

from inktally.imaging.glyphs import Grey

DARK = 120  # grey level below which a ground is dark
SHRINK = 0.5  # of the page that is looked at; enough to see grounds
LOWEST, NARROWEST = 10, 24  # pixels of that; a bar of one line, and a word in it
LEAST_GROUND = 0.45  # of a panel; frames have less
EDGE = 0.9  # of a panel's outline that is dark; words and pictures have edges that are not
SMALLEST, LARGEST = 3, 0.9  # pixels, and heights of a panel, that light letters are high
FEWEST = 3  # letters
MOST = 0.9  # of the page; what is dark all over is no part of it


def panels(page: Grey) -> Grey | None:
    """1 where the page, which has mostly dark letters, has light ones on a dark ground; None where it has none."""
    small = cv2.resize(page, None, fx=SHRINK, fy=SHRINK, interpolation=cv2.INTER_AREA)
    dark = (small < DARK).astype(np.uint8)
    count, labels, found, _ = cv2.connectedComponentsWithStats(dark, connectivity=4, ltype=cv2.CV_32S)
    mask = np.zeros(dark.shape, np.uint8)
    for number in range(1, count):
        left, top, width, height, area = (int(fact) for fact in found[number])
        if width < NARROWEST or height < LOWEST or area < LEAST_GROUND * width * height:
            continue
        place = slice(top, top + height), slice(left, left + width)
        if _is_panel((labels[place] == number).astype(np.uint8)):
            mask[place] = 1
    if not 0 < mask.mean() < MOST:
        return None
    return np.asarray(cv2.resize(mask, page.shape[::-1], interpolation=cv2.INTER_NEAREST), np.uint8)


def inverted(page: Grey, mask: Grey) -> Grey:
    """The page, of whatever channels, with other letters dark too; the mask may be smaller."""
    full = cv2.resize(mask, (page.shape[1], page.shape[0]), interpolation=cv2.INTER_NEAREST).astype(bool)
    turned = page.copy()
    turned[full] = 255 - turned[full]
    return turned


def _is_panel(ground: Grey) -> bool:
    """Whether a component with its holes is an even ground with letters on it."""
    edges = np.concatenate([ground[0], ground[-1], ground[:, 0], ground[:, -1]])
    if edges.mean() < EDGE:
        return False
    _, _, holes, _ = cv2.connectedComponentsWithStats(1 - ground, connectivity=8, ltype=cv2.CV_32S)
    heights = holes[1:, cv2.CC_STAT_HEIGHT]
    return int(((heights >= SMALLEST) & (heights < LARGEST * ground.shape[0])).sum()) >= FEWEST
