"""The plan: what a track will be, small, readable and editable, before any sound is made."""
