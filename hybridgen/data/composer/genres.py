"""All genres, one table."""

from hybridgen.data.composer import bands, electronic, ensembles
from hybridgen.data.composer.style import Style

# Songs draw their style by its place here, so another order or number of styles is another corpus.
STYLES: tuple[Style, ...] = (*electronic.STYLES, *ensembles.STYLES, *bands.STYLES, ensembles.CHAMBER)
_BY_NAME = {style.name: style for style in STYLES}


def style_named(genre: str) -> Style:
    """The style of a genre; ValueError for a name that none has."""
    if genre not in _BY_NAME:
        raise ValueError(f"genre {genre!r} is not one of: {', '.join(_BY_NAME)}")
    return _BY_NAME[genre]
