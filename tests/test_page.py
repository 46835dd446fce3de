"""The page in a browser: a sentence, eight plans, an editor, a render, changes, a library; with the shipped weights.

One server and one browser for all of it. The tests tell one story, in order: each goes on where the one before ended.
"""

import io
import json
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import soundfile
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Locator, Page, expect, sync_playwright

from hybridgen.cli import build_parser
from hybridgen.plan.plan import Plan
from hybridgen.serve.kinds import KINDS, ranges

MODEL = "tiny"
LONG = 240_000  # milliseconds in which a job must be done on the slowest machine
NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
FLAGS += ["--disable-component-update", "--disable-sync", "--autoplay-policy=no-user-gesture-required"]
expect.set_options(timeout=20_000)
DESKTOP, PHONE = {"width": 1440, "height": 900}, {"width": 390, "height": 844}
N_VALUES = """(canvas) => {  // of its pixels; of a copy, for Chromium warns of a canvas that is read often
  const copy = new OffscreenCanvas(canvas.width, canvas.height).getContext("2d", { willReadFrequently: true });
  copy.drawImage(canvas, 0, 0);
  return new Set(copy.getImageData(0, 0, canvas.width, canvas.height).data).size;
}"""
PLAN = {
    "hybridgen_plan": 1,
    "prompt": "deep house",
    "seed": 7,
    "meter": "4/4",
    "key": "A minor",
    "tempo": 120,
    "ending": "cut",
    "instruments": {"drums": 25, "bass": 38, "keys": 4},
    "sections": [
        {"label": "intro", "energy": 3, "roles": ["drums", "bass", "keys"], "chords": ["Am", "F"]},
        {"label": "drop", "energy": 6, "roles": ["drums", "bass", "keys"], "chords": ["C", "G"]},
    ],
    "notes": {
        "drums": {"1": "kick 0 120 v100, snare 480 120 v90, kick 960 120 v100", "2": "as 1", "3": "as 1", "4": "as 1"},
        "bass": {"1": "A1 0 480 v90, A1 960 480 v90", "2": "F1 0 960 v90", "3": "C2 0 960 v90", "4": "G1 0 960 v90"},
        "keys": {"1": "A3+C4+E4 0 1920 v70", "2": "as 1", "3": "C4+E4+G4 0 1920 v70", "4": "as 3"},
    },
}


class Watched:
    """A page, what it has said on the console, and where it has asked."""

    def __init__(self, browser: Browser, where: str, **context: Any) -> None:
        self.where, self.said, self.asked = where, list[str](), set[str]()
        self.context = browser.new_context(accept_downloads=True, **context)
        self.page = self.context.new_page()
        self.page.on("console", lambda one: one.type in ("error", "warning") and self.said.append(one.text))
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.on("request", lambda request: self.asked.add(request.url))
        self.load()

    def load(self) -> None:
        self.page.goto(self.where)
        expect(self.page.locator("body[data-ready]")).to_be_attached(timeout=30_000)


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where `hybridgen demo` is, with the shipped weights and an empty library."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port = one.getsockname()[1]
    library = tmp_path_factory.mktemp("demo") / "library"
    command = [sys.executable, "-m", "hybridgen", "demo", "--no-browser", "--model", MODEL, "--port", str(port)]
    with subprocess.Popen([*command, "--library", str(library)], stdout=subprocess.PIPE, text=True) as server:
        where = f"http://127.0.0.1:{port}"
        assert server.stdout is not None and where in server.stdout.readline()
        for _ in range(300):
            try:
                if httpx.get(f"{where}/health").status_code == 200:
                    break
            except httpx.ConnectError:
                time.sleep(0.1)
        yield where
        server.send_signal(signal.SIGTERM)
        assert server.wait(60) == 0


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    path = next((found for name in NAMES if (found := shutil.which(name))), None)
    assert path is not None, "the page is tested in Chromium: make test installs it, or sudo apt-get install chromium"
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield started
        started.close()


@pytest.fixture(scope="module")
def watched(browser: Browser, address: str) -> Watched:
    return Watched(browser, address, viewport=DESKTOP)


@pytest.fixture
def page(watched: Watched) -> Page:
    return watched.page


@pytest.fixture(scope="module")
def rest(address: str) -> Iterator[httpx.Client]:
    """The same server without a page; on one machine all are one owner."""
    with httpx.Client(base_url=address, timeout=60) as client:
        yield client


def until(page: Page, script: str, what: Any = True, seconds: float = 20) -> Any:
    """Waits until a script gives what is wanted, or anything true; the page's policy forbids to wait inside it."""
    end = time.monotonic() + seconds
    while True:
        found = page.evaluate(script)
        if found == what if what is not True else found:
            return found
        assert time.monotonic() < end, f"{script} is {found!r}, not {what!r}"
        time.sleep(0.05)


def seen(page: Page, script: str) -> Any:
    """What a function (state, player module) of the page's own modules gives."""
    return page.evaluate(f"async () => ({script})((await import('/state.js')).state, await import('/player.js'))")


def until_seen(page: Page, script: str, what: Any = True, seconds: float = 20) -> Any:
    """Waits until `seen` gives what is wanted, or anything true."""
    return until(
        page, f"async () => ({script})((await import('/state.js')).state, await import('/player.js'))", what, seconds
    )


def plan_of(page: Page) -> Plan:
    return Plan.from_dict(seen(page, "(state) => state.plan"))


def sound_of(rest: httpx.Client, track: dict[str, Any]) -> np.ndarray:
    url = next(url for name, url in track["files"].items() if name.startswith("track."))
    return soundfile.read(io.BytesIO(rest.get(url).content), dtype="float32")[0]


def made(page: Page, do: Any) -> dict[str, Any]:
    """The track that is in the player once what `do` asks for is done."""
    before = seen(page, "(state) => state.track?.id ?? null")
    do()
    until_seen(
        page,
        f"(state) => Boolean(state.track && state.track.id !== {json.dumps(before)} && !state.job)",
        seconds=LONG / 1000,
    )
    return seen(page, "(state) => state.track")


def drag(page: Page, handle: Locator, dx: float, dy: float = 0) -> None:
    box = handle.bounding_box()
    assert box is not None
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + dx / 2, y + dy / 2, steps=4)
    page.mouse.move(x + dx, y + dy, steps=4)
    page.mouse.up()


def faults(page: Page) -> list[str]:
    """What axe-core finds that is serious or critical."""
    found = Axe().run(page).response["violations"]
    bad = [one for one in found if one["impact"] in ("serious", "critical")]
    return [f"{one['id']}: {node['html'][:120]} {node['any'][:1]}" for one in bad for node in one["nodes"][:3]]


# ---- the sentence


def test_what_is_understood_is_seen_while_one_types(page: Page):
    page.locator("#prompt").fill("")
    page.locator("#prompt").press_sequentially("warm house, 122 BPM in F minor, zzyzx")
    tempo = page.locator('[data-chip="tempo"]')
    expect(tempo).to_contain_text("122 BPM")
    expect(tempo).to_have_class("chip prompt")
    expect(page.locator('[data-chip="key"]')).to_contain_text("F minor")
    expect(page.locator('[data-chip="meter"]')).to_have_class("chip auto")
    expect(page.locator("#understood-notes")).to_contain_text("zzyzx")


def test_a_padlock_keeps_what_the_words_no_longer_say(page: Page):
    page.locator('[data-chip="key"] .chip-lock').click()
    page.locator("#prompt").fill("warm house, 118 BPM")
    expect(page.locator('[data-chip="tempo"]')).to_contain_text("118 BPM")
    expect(page.locator('[data-chip="key"]')).to_have_class("chip locked")
    expect(page.locator('[data-chip="key"]')).to_contain_text("F minor")
    page.locator('[data-chip="length"] .chip-value').click()
    page.locator("dialog select").select_option("bars")
    page.locator("dialog input").fill("2")
    page.keyboard.press("Enter")
    expect(page.locator('[data-chip="length"]')).to_contain_text("2 bars")
    assert page.evaluate("async () => (await import('/fields.js')).given()") == {"key": "F minor", "bars": 2}


def test_eight_plans_are_pictures_as_each_is_ready_and_a_key_chooses(page: Page):
    page.locator("#ask").click()
    expect(page.locator("#candidates > *")).to_have_count(8)
    first = page.locator('#candidates button[data-i="0"]')
    expect(first).to_be_visible(timeout=LONG)
    expect(first).to_have_attribute("aria-pressed", "true")
    expect(page.locator("#candidates button")).to_have_count(8, timeout=LONG)
    drawn = page.evaluate(f"() => [...document.querySelectorAll('#candidates canvas')].map({N_VALUES})")
    assert min(drawn) > 4, drawn
    page.locator("#plan-title").click()
    page.keyboard.press("5")
    expect(page.locator('#candidates button[data-i="4"]')).to_have_attribute("aria-pressed", "true")
    plan = plan_of(page)
    assert (plan.key, plan.n_bars) == ("F minor", 2) and plan.tempo[0].bpm == 118


def test_a_plan_sounds_within_two_seconds_of_the_click(page: Page):
    clicked = time.monotonic()
    page.locator("#preview").click()
    until_seen(page, "(state, p) => p.default.isPlaying && p.time() > 0.02")
    assert time.monotonic() - clicked < 2
    assert until_seen(page, "(state, p) => p.level()") > 0
    page.locator("#preview").click()
    assert seen(page, "(state, p) => p.default.isPlaying") is False


# ---- the plan


def test_a_score_that_is_dropped_becomes_the_plan(page: Page):
    data = page.evaluate_handle(
        "(text) => { const data = new DataTransfer(); data.items.add(new File([text], 'mine.json')); return data; }",
        json.dumps(PLAN),
    )
    page.dispatch_event("body", "dragenter", {"dataTransfer": data})
    expect(page.locator("#drop")).to_be_visible()
    page.dispatch_event("body", "drop", {"dataTransfer": data})
    expect(page.locator("#drop")).to_be_hidden()
    page.locator('[data-choice="plan"]').click()
    until_seen(page, "(state) => state.plan?.prompt === 'deep house'")
    assert plan_of(page) == Plan.from_dict(PLAN)
    expect(page.locator("#plan-sections .section")).to_have_count(2)
    expect(page.locator("#plan-rows .role")).to_have_count(3)


def test_a_border_and_a_section_are_dragged(page: Page):
    bar = page.locator("#plan-chords .chord").first.bounding_box()
    assert bar is not None
    drag(page, page.locator("#plan-sections .border"), bar["width"])
    until_seen(page, "(state) => state.view.sections[1].first", 4)
    assert plan_of(page) == Plan.from_dict(PLAN).move_border(3, 4)
    drag(page, page.locator("#plan-sections .section").nth(1), -2 * bar["width"])
    until_seen(page, "(state) => state.view.sections[0].label", "drop")
    assert plan_of(page) == Plan.from_dict(PLAN).move_border(3, 4).arrange([2, 1])
    page.keyboard.press("Control+z")
    page.keyboard.press("Control+z")
    assert plan_of(page) == Plan.from_dict(PLAN)


def test_a_section_is_named_divided_and_joined(page: Page):
    page.locator("#plan-sections .section").first.click()
    page.locator("dialog select[aria-label='Kind of section']").select_option("verse")
    until_seen(page, "(state) => state.view.sections[0].label", "verse")
    assert plan_of(page).notes == Plan.from_dict(PLAN).notes
    page.locator("#plan-sections .section").nth(1).click()
    page.get_by_role("button", name="Divide at bar").click()
    until_seen(page, "(state) => state.view.sections.length", 3)
    page.locator("#plan-sections .section").nth(2).click()
    page.get_by_role("button", name="Join with the one before").click()
    until_seen(page, "(state) => state.view.sections.length", 2)
    page.locator("#plan-sections .section").nth(1).click()
    page.get_by_role("button", name="Insert a copy after it").click()
    until_seen(page, "(state) => state.view.bars.length", 7)
    for _ in range(4):
        page.keyboard.press("Control+z")
    until_seen(page, "(state) => state.view.sections[0].label", "intro")


def test_a_chord_is_typed_and_a_wrong_one_changes_nothing(page: Page):
    page.locator("#plan-chords .chord").nth(1).click()
    page.keyboard.type("Dm7")
    page.keyboard.press("Enter")
    expect(page.locator("#plan-chords .chord").nth(1)).to_have_text("Dm7")
    now = plan_of(page)
    assert now.bars[1].chords == ("Dm7",) and now.part("bass").bars[1] is None and now.part("drums").bars[1]
    expect(page.locator("#write-notes")).to_contain_text("2 open")
    page.locator("#plan-chords .chord").nth(2).click()
    page.keyboard.type("C7")
    page.keyboard.press("Tab")
    page.keyboard.type("G7")  # before the first is answered
    page.keyboard.press("Enter")
    expect(page.locator("#plan-chords .chord").nth(3)).to_have_text("G7")
    expect(page.locator("#plan-chords .chord").nth(2)).to_have_text("C7")
    page.locator("#plan-title").click()
    page.keyboard.press("Control+z")
    page.keyboard.press("Control+z")
    until_seen(page, "(state) => state.plan.sections[1].chords.join()", "C,G")
    assert plan_of(page) == now
    page.locator("#plan-chords .chord").nth(0).click()
    page.keyboard.type("Xm")
    page.keyboard.press("Enter")
    expect(page.locator(".notice.bad")).to_contain_text("Xm")
    assert plan_of(page) == now
    page.locator(".notice.bad button").click()


def test_what_is_open_is_written_and_what_is_known_stays(page: Page):
    before = plan_of(page)
    page.locator("#write-notes").click()
    until_seen(page, "(state) => state.view.parts.every((part) => part.known.every(Boolean))", seconds=LONG / 1000)
    now = plan_of(page)
    assert all(now.part(role).bars[0] == before.part(role).bars[0] for role in ("drums", "bass", "keys"))


def test_energy_roles_and_instruments_are_set(page: Page):
    page.locator("#plan-energy .knob").first.focus()
    page.keyboard.press("ArrowUp")
    until_seen(page, "(state) => state.view.sections[0].energy", 4)
    page.keyboard.press("Control+z")
    page.locator("select[aria-label='Instrument of keys']").select_option("0")
    until_seen(page, "(state) => state.plan.instruments.keys", 0)
    page.locator("button[aria-label='keys plays']").click()
    until_seen(page, "(state) => state.view.sections.every((one) => !one.roles.includes('keys'))")
    page.keyboard.press("Control+z")
    page.locator("#plan-key").select_option("B minor")
    until_seen(page, "(state) => state.plan.key", "B minor")
    page.keyboard.press("Control+z")
    page.locator("#plan-ending").select_option("fade")
    until_seen(page, "(state) => state.plan.ending", "fade")
    page.keyboard.press("Control+z")
    page.locator("#plan-sound").click()
    page.locator("select[aria-label='Sound: vinyl']").select_option("vinyl")
    page.locator("select[aria-label='Sound: wide']").select_option("not wide")
    page.locator("dialog button", has_text="Set").click()
    until_seen(page, "(state) => (state.plan.sound ?? []).join()", "vinyl,not wide")
    page.keyboard.press("Control+z")


def test_a_note_is_moved_made_and_removed_by_keys_and_by_hand(page: Page):
    page.locator("button[aria-label='bass: show its notes']").click()
    roll = page.locator("#roll")
    before = plan_of(page).part("bass").bars[0]
    roll.focus()
    page.keyboard.press(".")
    expect(page.locator("#roll-note")).to_contain_text("A1, bar 1, beat 1")
    page.keyboard.press("ArrowUp")
    until_seen(page, "(state) => state.view.parts.find((one) => one.role === 'bass').notes[0][2]", 34)
    page.keyboard.press("Shift+ArrowRight")
    until_seen(page, "(state) => state.view.parts.find((one) => one.role === 'bass').notes[0][6]", 600)
    page.keyboard.press("n")
    until_seen(page, "(state) => state.view.parts.find((one) => one.role === 'bass').notes[1][5]", 600)
    page.keyboard.press("Delete")
    until_seen(page, "(state) => state.view.parts.find((one) => one.role === 'bass').notes[1][5]", 960)
    for _ in range(4):
        page.keyboard.press("Control+z")
    assert plan_of(page).part("bass").bars[0] == before
    box = roll.bounding_box()
    assert box is not None
    count = len(plan_of(page).part("bass").bars[2] or ())
    page.mouse.dblclick(box["x"] + 0.7 * box["width"], box["y"] + 4)
    until_seen(
        page,
        "(state) => state.view.parts.find((one) => one.role === 'bass').notes.filter((n) => n[4] === 3).length",
        count + 1,
    )
    drag(page, page.locator("#roll"), 0)  # a click beside all notes changes nothing
    page.keyboard.press("Control+z")


# ---- the sound


def test_a_render_is_heard_while_it_is_made_and_is_what_the_plan_says(page: Page, rest: httpx.Client):
    wanted = plan_of(page)
    heard: list[float] = []

    def render() -> None:
        clicked = time.monotonic()
        page.locator("#render").click()
        until_seen(
            page, "(state, p) => p.default.mode !== 'plan' && p.default.isPlaying && p.level() > 0", seconds=LONG / 1000
        )
        heard.append(time.monotonic() - clicked)

    track = made(page, render)
    print(f"first rendered sound after {heard[0]:.1f} s")
    assert track["seconds"] == pytest.approx(8) and Plan.from_dict(track["plan"]).bars == wanted.bars
    until_seen(page, "(state, p) => p.default.mode === 'track' && p.default.a?.track.id === state.track.id")
    expect(page.locator("#tracks li")).to_have_count(1)
    for canvas in ("#wave", "#spectrum"):
        until(page, f"() => ({N_VALUES})(document.querySelector('{canvas}')) > 3")
    assert len(sound_of(rest, track)) == 8 * 44_100
    page.locator("#play").click()


def test_several_ranges_are_repainted_and_the_rest_stays_while_the_old_one_plays_on(page: Page, rest: httpx.Client):
    before = seen(page, "(state) => state.track")
    page.locator("#bars").fill("1, 4")
    page.keyboard.press("Enter")
    expect(page.locator("#sound-ranges .range")).to_have_count(2)
    seen(page, "(state, p) => { p.default.loop = [0, 7.9]; p.seek(0); return p.play(); }")
    page.locator("#do-repaint").click()
    page.locator("dialog input[name=chords]").fill("Em")
    stopped: list[bool] = []

    def repaint() -> None:
        page.keyboard.press("Enter")
        expect(page.locator("#jobs .job")).to_have_count(1)
        stopped.append(not seen(page, "(state, p) => p.default.isPlaying && p.default.a.track.id === state.track.id"))

    after = made(page, repaint)
    assert stopped == [False] and after["of"] == before["id"] and after["changes"] == 1
    until_seen(page, "(state, p) => p.default.b !== null")
    assert seen(page, "(state, p) => [p.default.isPlaying, p.default.side]") == [True, "b"]  # what played plays on
    one, other = sound_of(rest, before), sound_of(rest, after)
    same = (one == other).all(axis=1)
    assert one.shape == other.shape and same[3 * 44_100 : 5 * 44_100].all()
    assert not same[: 2 * 44_100].all() and not same[6 * 44_100 :].all()
    assert Plan.from_dict(after["plan"]).bars[0].chords == ("Em",) == Plan.from_dict(after["plan"]).bars[3].chords


def test_a_and_b_are_equally_loud_and_a_key_switches(page: Page):
    page.locator("#sound-heading").click()
    page.keyboard.press("b")
    expect(page.locator("#side-a")).to_have_attribute("aria-pressed", "true")
    found = seen(
        page,
        "(state, p) => ['a', 'b'].map((s) => (p.side(s), p.heard()[s] * 10 ** (p.default[s].sound.loudness / 20)))",
    )
    assert found[0] == pytest.approx(found[1], rel=1e-3)
    assert max(seen(page, "(state, p) => ['a', 'b'].map((s) => (p.side(s), p.heard()[s]))")) == pytest.approx(1)
    loudness = seen(page, "(state, p) => p.default.a.sound.loudness")
    assert loudness == pytest.approx(-14, abs=1)
    page.locator("#side-a").click()
    page.locator("#play").click()


def test_the_plan_of_the_editor_is_made_in_the_bars_that_differ(page: Page):
    page.locator("#plan-of-track").click()
    until_seen(page, "(state) => state.plan.sections[0].chords[0]", "Em")
    page.locator("select[aria-label='Instrument of bass']").select_option("33")
    until_seen(page, "(state) => state.plan.instruments.bass", 33)
    page.keyboard.press("Control+z")
    page.locator("#plan-chords .chord").nth(2).click()
    page.keyboard.type("F")
    page.keyboard.press("Enter")
    until_seen(page, "(state) => state.plan.sections[1].chords[0]", "F")
    after = made(page, lambda: page.locator("#do-apply").click())
    assert [bar.chords for bar in Plan.from_dict(after["plan"]).bars][2] == ("F",)
    expect(page.locator("#bars")).to_have_value("3")


def test_bars_are_chosen_on_the_sound_by_hand_and_by_keys(page: Page):
    box = page.locator("#stage").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 0.3 * box["width"], box["y"] + 30)
    page.mouse.down()
    page.mouse.move(box["x"] + 0.6 * box["width"], box["y"] + 30, steps=5)
    page.mouse.up()
    expect(page.locator("#bars")).to_have_value("2-3")
    page.locator("#sound-sections .section").first.click()
    expect(page.locator("#bars")).to_have_value("1-2")
    page.locator("#stage").focus()
    page.keyboard.press("Escape")
    expect(page.locator("#bars")).to_have_value("")
    page.keyboard.press("Home")
    page.keyboard.press("Shift+ArrowRight")
    expect(page.locator("#bars")).to_have_value("1-2")
    page.locator("#bars").fill("9-12")
    page.keyboard.press("Enter")
    assert page.evaluate("() => document.querySelector('#bars').validity.customError")
    page.locator("#bars").fill("")
    page.keyboard.press("Enter")


def test_stems_are_muted_and_heard_alone(page: Page):
    page.locator("#do-stems").click()
    expect(page.locator("#stems .stem")).to_have_count(3, timeout=LONG)
    page.get_by_role("button", name="Mute stem drums").click()
    page.get_by_role("button", name="Solo stem bass").click()
    assert seen(page, "(state, p) => [[...p.default.silent], [...p.default.solo]]") == [["drums"], ["bass"]]
    page.locator("#play").click()
    heard = seen(page, "(state, p) => p.heard()")
    assert {name for name, level in heard.items() if level > 0} == {"stem bass"}
    page.locator("#play").click()
    page.get_by_role("button", name="Mute stem drums").click()
    page.get_by_role("button", name="Solo stem bass").click()


def test_new_notes_a_variation_more_bars_and_a_loop(page: Page):
    page.locator("#bars").fill("2")
    page.keyboard.press("Enter")
    before = seen(page, "(state) => state.track")
    new = made(page, lambda: page.locator("#do-new-notes").click())
    old_plan, new_plan = Plan.from_dict(before["plan"]), Plan.from_dict(new["plan"])
    assert old_plan.part("keys").bars[0] == new_plan.part("keys").bars[0] and old_plan.bars == new_plan.bars
    page.locator("#do-vary").click()
    varied = made(page, lambda: page.keyboard.press("Enter"))
    assert varied["kind"] == "vary"
    page.locator("#do-extend").click()
    page.locator("dialog input[name=bars]").fill("1")
    longer = made(page, lambda: page.keyboard.press("Enter"))
    assert longer["bars"] == 5
    page.locator("#bars").fill("1-2")
    page.keyboard.press("Enter")
    looped = made(page, lambda: page.locator("#do-loop").click())
    assert looped["bars"] == 2 and looped["seconds"] == pytest.approx(4)


def test_a_track_gets_the_style_of_a_sound_by_keys_alone(page: Page, rest: httpx.Client, tmp_path: Path):
    before = seen(page, "(state) => state.track")
    reference, note = page.locator("dialog select[name=reference]"), page.locator("dialog [role=status]")
    (tmp_path / "words.wav").write_text("no sound")
    with page.expect_file_chooser() as chooser:
        page.locator("#do-layer").focus()
        page.keyboard.press("Tab")
        page.keyboard.press("Enter")
        expect(reference).to_be_focused()
        others = page.locator("#tracks li").count() - 1
        expect(reference.locator("option")).to_have_count(1 + others)  # the first says what to choose
        assert faults(page) == []
        page.keyboard.press("Tab")
        page.keyboard.press("Enter")
    chooser.value.set_files(tmp_path / "words.wav")
    expect(note).to_contain_text("words.wav: not audio")
    hiss = io.BytesIO()
    soundfile.write(hiss, 0.1 * np.random.default_rng(0).standard_normal(22_050), 44_100, format="WAV")
    data = page.evaluate_handle(
        """(bytes) => { const data = new DataTransfer();
        data.items.add(new File([Uint8Array.from(bytes)], "hiss.wav")); return data; }""",
        list(hiss.getvalue()),
    )
    page.dispatch_event("dialog.popover", "dragenter", {"dataTransfer": data})
    expect(page.locator("#drop")).to_have_text("Drop a sound to take the style of")
    page.dispatch_event("dialog.popover", "drop", {"dataTransfer": data})
    expect(page.locator("#drop")).to_be_hidden()
    expect(note).to_contain_text("hiss.wav is the reference")
    expect(reference.locator("option:checked")).to_have_text("hiss.wav")
    page.keyboard.press("Tab")
    page.keyboard.press("ArrowLeft")
    after = made(page, lambda: page.keyboard.press("Enter"))
    assert (after["kind"], after["of"], after["changes"]) == ("style", before["id"], before["changes"] + 1)
    assert Plan.from_dict(after["plan"]).part("bass") == Plan.from_dict(before["plan"]).part("bass")
    dull, bright = (abs(np.fft.rfft(sound_of(rest, one)[:, 0])) ** 2 for one in (before, after))
    assert dull.shape == bright.shape and bright[len(bright) // 4 :].sum() > 2 * dull[len(dull) // 4 :].sum()
    expect(page.locator("#tracks li").first).to_contain_text("in another's style")
    page.locator("#sound-heading").click()
    page.keyboard.press("b")
    expect(page.locator("#side-b")).to_have_attribute("aria-pressed", "true")
    page.keyboard.press("b")


def test_a_pack_is_saved(page: Page):
    page.locator("#do-export").click()
    page.locator("dialog select[name=format]").select_option("mid")
    with page.expect_download(timeout=LONG) as saved:
        page.locator("dialog.popover button.primary").click()
    assert saved.value.suggested_filename.endswith(".mid")
    assert Path(saved.value.path()).read_bytes()[:4] == b"MThd"


def test_a_job_is_ended_by_its_cross(page: Page):
    page.locator("#straight").click()
    page.locator("#jobs .job button").first.click()
    expect(page.locator("#jobs .job")).to_have_count(0, timeout=LONG)


# ---- the library


def test_everything_is_there_after_a_reload_and_is_found_starred_and_had_back(page: Page, watched: Watched):
    made_before = page.locator("#tracks li").count()
    assert made_before >= 6
    watched.load()
    expect(page.locator("#tracks li")).to_have_count(made_before)
    first = page.locator("#tracks li").first
    first.get_by_role("button", name="Star", exact=False).first.click()
    expect(page.locator("#tracks li").first.locator("[data-focus^=star]")).to_have_attribute("aria-pressed", "true")
    page.locator("#only-starred").click()
    expect(page.locator("#tracks li")).to_have_count(1)
    page.locator("#only-starred").click()
    page.locator("#search").fill("no such words")
    expect(page.locator("#tracks li")).to_have_count(0)
    page.locator("#search").fill("deep")
    expect(page.locator("#tracks li").first).to_be_visible()
    page.locator("#search").fill("")
    expect(page.locator("#tracks li")).to_have_count(made_before)
    page.locator("#tracks li").nth(1).locator("[data-focus^=bin]").click()
    expect(page.locator("#tracks li")).to_have_count(made_before - 1)
    page.locator(".notice", has_text="in the bin").get_by_role("button", name="Undo").click()
    expect(page.locator("#tracks li")).to_have_count(made_before)


def test_the_settings_of_a_track_come_back(page: Page, rest: httpx.Client):
    row = page.locator("#tracks li").last
    row.locator("[data-focus^=settings]").click()
    until_seen(page, "(state) => state.plan?.prompt === 'deep house'")
    told = rest.get(f"/v1/library/{row.get_attribute('data-id')}").json()
    given = page.evaluate("async () => (await import('/fields.js')).given()")
    assert given == {name: told["settings"][name] for name in ("num_steps", "guidance_scale")} | {"seed": 7}
    expect(page.locator("#prompt")).to_have_value("deep house")
    assert plan_of(page) == Plan.from_dict(told["plan"])


def test_a_track_and_a_recording_are_dropped(page: Page, rest: httpx.Client, tmp_path: Path):
    track = rest.get("/v1/library").json()["tracks"][-1]
    ours = tmp_path / "ours.flac"
    ours.write_bytes(rest.get(track["files"]["track.flac"]).content)
    page.locator("#file").set_input_files(ours)
    until_seen(page, "(state) => state.track?.kind === 'upload' && Boolean(state.track.plan)")
    recording = tmp_path / "hum.wav"
    times = np.arange(2 * 44_100) / 44_100
    soundfile.write(recording, 0.3 * np.sin(2 * np.pi * 220 * times), 44_100)
    page.locator("#file").set_input_files(recording)
    page.locator('[data-choice="track"]').click()
    until_seen(page, "(state, p) => p.default.a?.track.title === 'hum.wav' && p.default.a.sound.buffer.duration", 2)
    page.locator("#file").set_input_files(recording)
    page.locator('[data-choice="melody"]').click()
    expect(page.locator('[data-chip="melody"]')).to_contain_text("your tune")
    page.locator('[data-chip="melody"] .chip-lock').click()
    expect(page.locator('[data-chip="melody"]')).to_have_count(0)


# ---- for everybody


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_no_serious_fault(page: Page, scheme: Any):
    page.emulate_media(color_scheme=scheme)
    page.locator("#tracks .track-open").last.click()
    until_seen(page, "(state) => Boolean(state.track && state.plan)")
    assert faults(page) == []
    page.locator("#plan-sections .section").first.click()
    assert faults(page) == []
    page.keyboard.press("Escape")
    page.keyboard.press("?")
    assert faults(page) == []
    page.keyboard.press("Escape")
    page.emulate_media(color_scheme="light")


def test_a_phone_shows_one_part_at_a_time_and_nothing_is_cut_off(browser: Browser, address: str):
    phone = Watched(browser, address, viewport=PHONE, has_touch=True, reduced_motion="reduce", color_scheme="dark")
    page = phone.page
    page.locator('#tabs [data-tab="library"]').click()
    page.locator("#tracks .track-open").last.click()
    until_seen(page, "(state) => Boolean(state.track && state.plan)")
    for tab in ("write", "plan", "sound", "library"):
        page.locator(f'#tabs [data-tab="{tab}"]').click()
        expect(page.locator(f"#{tab}")).to_be_visible()
        assert page.evaluate("() => document.documentElement.scrollWidth") == PHONE["width"], tab
        assert page.evaluate("() => document.getAnimations().length") == 0
        assert faults(page) == [], tab
    assert phone.said == []
    phone.context.close()


def test_keys_alone_lead_from_a_plan_to_a_changed_track(browser: Browser, address: str):
    """Tab and the keys of each part: no pointer is used."""
    other = Watched(browser, address, viewport=DESKTOP)
    page = other.page
    page.mouse.move(0, 0)

    def tab_to(selector: str, key: str = "Tab") -> None:
        for _ in range(200):
            if page.evaluate("(selector) => document.activeElement.matches(selector)", selector):
                return
            page.keyboard.press(key)
        raise AssertionError(f"Tab never reaches {selector}")

    tab_to('#tracks li:last-child [data-focus^="settings"]')
    page.keyboard.press("Enter")
    until_seen(page, "(state) => Boolean(state.plan)")
    tab_to("#plan-chords .chord", "Shift+Tab")
    page.keyboard.press("Enter")
    page.keyboard.type("Bb")
    page.keyboard.press("Enter")
    until_seen(page, "(state) => state.plan.sections[1].chords.at(-1)", "Bb")
    tab_to("#plan-sections .section", "Shift+Tab")
    page.keyboard.press("Alt+ArrowLeft")
    until_seen(page, "(state) => state.view.sections[0].label", "drop")
    tab_to("#plan-sections .border")
    page.keyboard.press("ArrowLeft")
    until_seen(page, "(state) => state.view.sections[1].first", 2)
    track = made(page, lambda: page.keyboard.press("r"))
    tab_to("#bars")
    page.keyboard.type("2")
    page.keyboard.press("Tab")
    tab_to("#do-vary")
    page.keyboard.press("Enter")
    assert made(page, lambda: page.keyboard.press("Enter"))["of"] == track["id"]
    assert other.said == []
    other.context.close()


def test_every_control_has_the_name_and_the_range_that_all_doors_have(page: Page):
    page.keyboard.press("Escape")
    page.locator("#more").evaluate("(one) => { one.open = true; }")
    shown = vars(build_parser().parse_args(["generate", "prompt"]))
    names = set()
    for chip in page.locator("[data-chip] .chip-value").all():
        name = str(chip.get_attribute("data-field"))
        names.add(name)
        assert name in KINDS["track"].model_fields
        chip.click()
        expect(page.locator("dialog[open]")).to_be_visible()
        for control in page.locator("dialog [name]").all():
            check_control(control, "track")
        page.keyboard.press("Escape")
        expect(page.locator("dialog[open]")).to_have_count(0)
    spelled = {"num_steps": "steps", "guidance_scale": "guidance", "instruments": "instruments"}
    assert all(spelled.get(name, name) in shown for name in names), names - shown.keys()
    page.locator("#bars").fill("1")
    page.keyboard.press("Enter")
    for change in ("repaint", "extend", "vary", "cover", "layer", "style", "export"):
        page.locator(f"#do-{change}").click()
        controls = page.locator("dialog [name]").all()
        assert controls, change
        for control in controls:
            check_control(control, change)
        page.keyboard.press("Escape")


def check_control(control: Locator, kind: str) -> None:
    name = str(control.get_attribute("name"))
    assert name in KINDS[kind].model_fields, (kind, name)
    limits, default = ranges(kind)[name], KINDS[kind].model_fields[name].default
    low, high = control.get_attribute("min"), control.get_attribute("max")
    is_strength = name == "strength"  # above 0: a slider has a first step
    if low is not None and limits.low is not None and not is_strength:
        assert (float(low), float(str(high))) == (limits.low, limits.high), (kind, name)
    if control.get_attribute("type") == "range":
        assert float(control.input_value()) == default, (kind, name)


def test_nothing_was_said_on_the_console_and_nobody_else_was_asked(watched: Watched, address: str):
    refused = [one for one in watched.said if "422 (Unprocessable Entity)" in one]  # a chord and a sound that are none
    assert watched.said == refused and len(refused) == 2
    elsewhere = {url for url in watched.asked if not url.startswith((address, f"blob:{address}", "data:"))}
    assert elsewhere == set()
    watched.context.close()
