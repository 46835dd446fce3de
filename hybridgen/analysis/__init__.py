"""A recording -> what can be detected in it: beats, key, and the plan that these make.

The detectors need librosa (`pip install hybridgen[eval]`); `detection` alone can be imported without it. None of them
has a calibrated confidence: each returns its best guess, or None (or nothing) where there is none.
"""
