"""Doors: files of scores into plans, and plans into such files; each says what it could not carry."""
