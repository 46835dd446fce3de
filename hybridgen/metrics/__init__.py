"""Measurements of music, over plain samples: nothing here knows what was asked for or which model played.

rhythm    tempo, beats, drift
harmony   key, chords
spectral  distances between two sounds, bandwidth, width, reference corruptions
structure whether bars of one section label sound alike
probe     genre and roles, by linear models
embedding what a sound is like, and how it fits its plan
distances distances between two sets of sounds, with floor and interval; how far labels lie apart
clap      whether music sounds like its prompt, by a checkpoint that the user has
hearing   all of it about one track, beside what was asked
"""
