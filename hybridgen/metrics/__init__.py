"""Measurements of music, over plain samples: nothing here knows which model played.

rhythm        tempo, beats, drift
harmony       key, chords
spectral      mel bands and semitones, bandwidth, width, reference corruptions
structure     whether bars of one section label sound alike
transcription which notes begin when, by a small network
repetition    whether returning sections are played as they were (of a plan)
probe         genre and roles, by linear models
clicks        whether samples bend at borders
scores        what was detected beside what was planned, by mir_eval's definitions
measurements  all of it about one track, and the summary of many
embedding     what a sound is like, and how it fits its plan
distances     distances between two sets of sounds, with floor and interval
clap          whether music sounds like its prompt, by a checkpoint that the user has
"""
