"""Decoding beside rendering: the same samples in the same order, errors and cancelling seen, nothing left at work."""

import itertools
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch

from hybridgen import Cancelled, Pipeline
from hybridgen.render import beside, mixdown


def decoders() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("decoder")]


@pytest.mark.parametrize(("width", "n_cores", "n_threads"), [(256, 2, 1), (256, 8, 4), (256, 1, 1), (1536, 8, 8)])
def test_a_narrow_renderer_leaves_half_of_the_cores_to_the_codec(width: int, n_cores: int, n_threads: int):
    assert beside.default_threads(width, n_cores) == n_threads


def test_on_a_cpu_blocks_are_decoded_in_another_thread_and_elsewhere_at_once():
    here = threading.get_ident()
    with beside.decoder(torch.device("cpu")) as decoder:
        assert decoder.submit(threading.get_ident).result() != here
    with beside.decoder(torch.device("cuda")) as decoder:
        assert decoder.submit(threading.get_ident).result() == here


def test_what_has_not_begun_never_will_and_what_has_is_waited_for():
    begun, release, done = threading.Event(), threading.Event(), list[str]()

    def first() -> None:
        begun.set()
        release.wait(10)
        done.append("first")

    with pytest.raises(ValueError, match="a user's"), beside.decoder(torch.device("cpu")) as decoder:
        decoder.submit(first)
        decoder.submit(done.append, "second")
        begun.wait(10)
        threading.Timer(0.1, release.set).start()
        raise ValueError("a user's")
    assert done == ["first"] and not decoders()


def test_a_window_is_rendered_while_the_one_before_is_decoded(pipe: Pipeline, monkeypatch: pytest.MonkeyPatch):
    """A decoder that waits until rendering goes on would wait in vain, were it not so."""
    inside, n_blocks, begun, went_on = mixdown._inside, itertools.count(), threading.Event(), threading.Event()

    def waits(*args: Any) -> Iterator[mixdown.Block]:
        if next(n_blocks) == 1:  # the first is waited for: a listener wants to hear it
            begun.set()
            assert went_on.wait(20)
        return inside(*args)

    def progress(stage: str, done: int, total: int) -> None:
        if stage == "rendering" and begun.is_set():
            went_on.set()

    monkeypatch.setattr(mixdown, "_inside", waits)
    pipe.render(pipe.plan("x", seconds=20, seed=1)[0], progress=progress)
    assert went_on.is_set()


def test_samples_do_not_depend_on_where_they_are_decoded(pipe: Pipeline, monkeypatch: pytest.MonkeyPatch):
    plan = pipe.plan("x", seconds=12, seed=2)[0]
    there = pipe.render(plan, seed=3)
    inline = beside.decoder(torch.device("cuda"))
    monkeypatch.setattr(beside, "decoder", lambda device: inline)
    here = pipe.render(plan, seed=3)
    assert np.array_equal(here.samples, there.samples)


def test_a_decoder_that_fails_is_heard(pipe: Pipeline, monkeypatch: pytest.MonkeyPatch):
    def fails(*_: object) -> Iterator[mixdown.Block]:
        raise MemoryError("of the decoder")

    monkeypatch.setattr(mixdown, "_inside", fails)
    with pytest.raises(MemoryError, match="of the decoder"):
        pipe.render(pipe.plan("x", seconds=2, seed=2)[0])
    assert not decoders()


@pytest.mark.parametrize("stage", ["rendering", "decoding"])
def test_a_render_that_is_cancelled_or_left_decodes_nothing_more(pipe: Pipeline, stage: str):
    plan = pipe.plan("x", seconds=20, seed=2)[0]
    with pytest.raises(Cancelled):
        pipe.render(plan, progress=lambda now, done, total: not (now == stage and done > 1))
    assert not decoders()
    blocks = pipe.render_blocks(plan)
    next(blocks)
    blocks.close()  # type: ignore[attr-defined]
    assert not decoders()


def test_what_fails_fails_where_the_result_is_taken_or_at_once():
    with beside.decoder(torch.device("cpu")) as decoder, pytest.raises(ZeroDivisionError):
        decoder.submit(divmod, 1, 0).result()
    with beside.decoder(torch.device("cuda")) as decoder, pytest.raises(ZeroDivisionError):
        decoder.submit(divmod, 1, 0)
