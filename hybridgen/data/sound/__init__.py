"""Sound: the engines that play a composed song role by role, and the studio that treats and mixes them.

The files in the order of the work: `sources` (where each sound comes from, its licence and notice), `loops` (compiled
inner loops), `notes` (the contract of an engine, and notes played one by one), the engines (`soundfonts`, `grand`,
`hits`, `tables`, `operators`, `strings`, `drum_synthesis`), `patches` and `casting` (which engine plays a role of a
song), `treatment` (what the studio does to it, drawn for each song), `effects`, and `session` (a song in the studio).
"""
