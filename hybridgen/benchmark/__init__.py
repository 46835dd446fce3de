"""Our models beside the rivals' own code, in one run on this machine: `hybridgen bench tiny -o bench`.

Only speed and memory are measured: the peers have random weights, and shapes as near to ours as theirs allow. The files
in the order of the work:

measure    what the machine can do; two calls by turns; a busy core; the memory of a process
task       what is asked of everyone, and a call that does it
ours       the calls of this package, as the pipeline makes them
peers      the same with transformers and diffusers
agreement  the same weights in our layers and in theirs, which agree before anything is timed
rows       which calls stand beside one another, measured
report     bench.json, bench.md, bench.png
run        all of it, in order
"""
