"""Measurements of music, over plain samples: nothing here knows what was asked for or which model played.

rhythm    tempo, beats, drift
harmony   key, chords
spectral  distances between two sounds, bandwidth, width, reference corruptions
distances separation and kernel distance between two sets of sounds
hearing   all of it about one track, beside what was asked
"""
