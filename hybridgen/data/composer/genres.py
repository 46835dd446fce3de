"""All genres, one table."""

from hybridgen.data.composer import acoustic, electronic
from hybridgen.data.composer.style import Style

STYLES: tuple[Style, ...] = (*electronic.STYLES, *acoustic.STYLES)
