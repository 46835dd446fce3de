"""A plan in the formats that musicians exchange: chord charts, ABC, MusicXML lead sheets, labels."""
