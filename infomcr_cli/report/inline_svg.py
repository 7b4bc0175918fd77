"""Put the pictures of this program into a page as SVG, so that a script finds which elements stand for which runs.

Only what this program has drawn itself is inlined. The page's policy forbids the attribute `style`, so each of its
rules becomes an attribute. Ids are prefixed with the picture's name, because a page holds several pictures.
"""

from __future__ import annotations

import re
from xml.etree import ElementTree

_SVG, _XLINK = "http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"
_HREF = f"{{{_XLINK}}}href"
_MARK = re.compile(r"mark-(\d+)-\d+")
_DECIMALS = re.compile(r"(\.\d{2})\d+")  # a hundredth of a point is less than any screen shows
_COORDINATES = ("d", "x", "y")


def inline_svg(svg: bytes, name: str, title: str, description: str) -> str:
    """Return a picture that this program has drawn as an element of a page.

    Args:
        svg:         as Matplotlib writes it.
        name:        of the picture, of letters, digits and hyphens; unique in the page.
        title:       what it is called.
        description: what it shows, for someone who cannot see it.
    """
    ElementTree.register_namespace("", _SVG)  # otherwise each tag is written as ns0:path
    root = ElementTree.fromstring(svg)
    for metadata in root.findall(f"{{{_SVG}}}metadata"):
        root.remove(metadata)
    for element in root.iter():
        for style in element.findall(f"{{{_SVG}}}style"):
            element.remove(style)  # the rule that the two attributes below replace
        _rewrite(element, name)
    attributes = {
        "stroke-linejoin": "round",
        "stroke-linecap": "butt",
        "role": "img",
        "aria-labelledby": f"{name}-title",
        "aria-describedby": f"{name}-desc",
        "data-picture": name,
        "class": "picture",
    }
    for key, value in attributes.items():
        root.set(key, value)
    for place, (tag, text) in enumerate((("title", title), ("desc", description))):
        said = ElementTree.Element(f"{{{_SVG}}}{tag}", {"id": f"{name}-{tag}"})
        said.text = text
        root.insert(place, said)
    return ElementTree.tostring(root, encoding="unicode")


def _rewrite(element: ElementTree.Element, name: str) -> None:
    """Replace what a page cannot have: styles, ids that several pictures share, XLink references, needless digits."""
    for rule in element.attrib.pop("style", "").split(";"):
        key, _, value = rule.partition(":")
        if value:
            element.set(key.strip(), value.strip())
    mark = _MARK.fullmatch(element.get("id", ""))
    if mark:
        del element.attrib["id"]
        element.set("data-mark", mark[1])
    elif "id" in element.attrib:
        element.set("id", f"{name}-{element.attrib['id']}")
    if _HREF in element.attrib:
        element.set("href", f"#{name}-{element.attrib.pop(_HREF).removeprefix('#')}")
    for key in _COORDINATES:
        if key in element.attrib:
            element.set(key, _DECIMALS.sub(r"\1", element.attrib[key]))
    for key, value in element.attrib.items():  # set below only at keys that exist, so the dictionary may be iterated
        if value.startswith("url(#"):
            element.set(key, value.replace("url(#", f"url(#{name}-", 1))
